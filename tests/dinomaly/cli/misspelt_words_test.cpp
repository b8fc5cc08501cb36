// A misspelt word of the command line is answered with the one that was meant.
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;

TEST_CASE("a misspelt command, flag, option or category gets the word that was meant") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string model = (folder / "model").string(), data = (folder / "data").string();
  const std::pair<std::string, std::string> wrong[] = {
      {"pedict", "did you mean 'predict'?"},
      {"predict " + model + " " + data + " --treshold 0.5", "did you mean '--threshold'?"},
      {"predict --wacth " + data, "did you mean '--watch'?"},
      {"report " + model + " " + data + " --oot x", "did you mean '--out'?"},
      {"report " + model + " " + data + " --oot=x", "did you mean '--out'?"},
      {"train " + data + " --iteration=3", "did you mean '--iterations'?"},
      {"train " + data + " --set dropuot=0.1", "did you mean 'dropout'?"},
      {"train " + data + " --categories waeve", "did you mean 'weave'?"},
      {"eval " + model + " " + data + " --categories wod", "did you mean 'wood'?"},
      {"make-dataset " + (folder / "new").string() + " --categories flnage", "did you mean 'flange'?"},
      {"--versoin", "did you mean '--version'?"}};
  for (const auto& [flags, expected] : wrong) check_refused(folder, flags, expected);
}
