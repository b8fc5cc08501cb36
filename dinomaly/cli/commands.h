// The commands of the program `dinomaly`. Each add_NAME() declares its subcommand with its flags on `app`;
// where the command line chooses it, its callback sets `work` to what it does, which returns the exit status
// (0; 1: judged anomalous) and throws InputError for a user's mistake.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace dinomaly {

using Work = std::function<int()>;

void add_make_dataset(CLI::App& app, Work& work);  // make_dataset_command.cpp
void add_train(CLI::App& app, Work& work);         // train_command.cpp

}  // namespace dinomaly
