// 03: layers, an optimizer and a schedule: a small network learns y = sin(3 x) and is saved and loaded.
//
//   build/bin/03_module
//
// Expected output:
//   fc1.weight (32, 1), fc1.bias (32), fc2.weight (32, 32), fc2.bias (32), out.weight (1, 32), out.bias (1)
//   learning rate: 0.0000 at step 0, 0.0100 at step 19, 0.0051 at step 260, 0.0001 at step 500
//   mean squared error: above 0.1 before training, below 0.001 after it
//   loaded from a file, the network gives the same outputs: yes
//   a file without out.bias is refused: yes, and the message names it: yes
#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "nn/init.h"
#include "nn/layers.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/schedule.h"
#include "tensor/io/safetensors.h"

using namespace nabla;

// A module declares its parts in its constructor; their names are the keys of its state_dict.
class Network : public Module {
 public:
  explicit Network(uint64_t seed)
      : fc1_(add<Linear>("fc1", 1, 32)), fc2_(add<Linear>("fc2", 32, 32)), out_(add<Linear>("out", 32, 1)) {
    Generator generator(seed);
    for (const Variable& parameter : parameters()) {
      if (parameter.shape().rank() == 2) xavier_uniform(parameter, generator);
    }
  }
  Variable operator()(const Variable& x) const { return out_(gelu(fc2_(gelu(fc1_(x))))); }

 private:
  Linear &fc1_, &fc2_, &out_;
};

static Variable squared_error(const Network& network, const Tensor& x, const Tensor& y) {
  return mean(pow(network(Variable(x)) - Variable(y), 2));
}

static const char* yes(bool so) { return so ? "yes" : "no"; }

static void save_and_load(const Network& network, const Tensor& x) {
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("03_module.{}.safetensors", getpid());
  save_safetensors(path, network.state_dict());
  std::map<std::string, Tensor> values;
  const SafeTensors file = SafeTensors::load(path);
  for (const std::string& name : file.names()) values[name] = file.get(name);
  std::filesystem::remove(path);

  Network other(2);
  other.load_state_dict(values, "the file");
  const auto outputs = [&](const Network& one) { return no_grad([&] { return one(x); }).value(); };
  fmt::print("loaded from a file, the network gives the same outputs: {}\n",
             yes(outputs(network).to_vector<float>() == outputs(other).to_vector<float>()));
  values.erase("out.bias");
  try {
    other.load_state_dict(values, "the file");
  } catch (const InputError& error) {
    fmt::print("a file without out.bias is refused: yes, and the message names it: {}\n",
               yes(std::string(error.what()).find("out.bias") != std::string::npos));
  }
}

int main() {
  std::vector<float> inputs, targets;
  for (int i = 0; i < 64; ++i) {
    inputs.push_back(-1.0f + 2.0f * static_cast<float>(i) / 63.0f);
    targets.push_back(std::sin(3 * inputs.back()));
  }
  const Tensor x = Tensor::from(inputs, {64, 1}), y = Tensor::from(targets, {64, 1});

  Network network(1);
  std::vector<std::string> names;
  for (const auto& [name, value] : network.state_dict())
    names.push_back(fmt::format("{} {}", name, value.shape()));
  fmt::print("{}\n", fmt::join(names, ", "));

  AdamW optimizer(network.parameters());
  const WarmCosineSchedule learning_rate{.peak = 1e-2, .final = 1e-4, .warmup_steps = 20, .total_steps = 500};
  fmt::print("learning rate: {:.4f} at step 0, {:.4f} at step 19, {:.4f} at step 260, {:.4f} at step 500\n",
             learning_rate(0), learning_rate(19), learning_rate(260), learning_rate(500));
  const double before = squared_error(network, x, y).item();
  for (int step = 0; step < 500; ++step) {
    const Variable loss = squared_error(network, x, y);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step(learning_rate(step));
  }
  const double after = squared_error(network, x, y).item();
  fmt::print("mean squared error: {} 0.1 before training, {} 0.001 after it\n",
             before > 0.1 ? "above" : "below", after < 0.001 ? "below" : "above");
  save_and_load(network, x);
}
