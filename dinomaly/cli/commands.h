// The commands of the program `dinomaly`. Each add_NAME() declares its subcommand with its flags on `app`;
// where the command line chooses it, its callback sets `work` to what it does, which returns the exit status
// (0; 1: judged anomalous) and throws InputError for a user's mistake.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace dinomaly {

struct Work {
  std::function<int()> first = {};  // of the first process, or the only one
  // What the others of several do meanwhile; none: the command is for one process.
  std::function<int()> others = {};
};

void add_calibrate(CLI::App& app, Work& work);     // calibrate_command.cpp
void add_convert(CLI::App& app, Work& work);       // convert_command.cpp
void add_encoder(CLI::App& app, Work& work);       // encoder_command.cpp
void add_eval(CLI::App& app, Work& work);          // eval_command.cpp
void add_export(CLI::App& app, Work& work);        // export_command.cpp
void add_info(CLI::App& app, Work& work);          // info_command.cpp
void add_make_dataset(CLI::App& app, Work& work);  // make_dataset_command.cpp
void add_predict(CLI::App& app, Work& work);       // predict_command.cpp
void add_report(CLI::App& app, Work& work);        // report_command.cpp
void add_serve(CLI::App& app, Work& work);         // serve_command.cpp
void add_train(CLI::App& app, Work& work);         // train_command.cpp

}  // namespace dinomaly
