// The command line of Waybill: which commands there are, what they take, and what each is for. The commands are in commands.h.
#pragma once

namespace waybill::cli {

// Parses, runs one command, and returns the exit code (exit_code.h). Called once, from main.
int run(int argc, char** argv);

}  // namespace waybill::cli
