// What every program does around its work: errors and exit status.
#pragma once

#include <functional>
#include <string>

namespace dinomaly {

// Runs `work` and returns the exit status: what it returned; 2 with one line on stderr for a user's error
// (InputError); 3 with one line for ours and for a lack of memory, also where an exception leaves a thread.
int run_program(const std::string& name, const std::function<int()>& work);

// Hands standard output to the system. Throws InputError where that fails: a result that nobody can read
// is no success.
void flush_output();

}  // namespace dinomaly
