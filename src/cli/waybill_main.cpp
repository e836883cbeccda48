#include "cli/cli.h"

int main(int argc, char** argv) { return waybill::cli::run(argc, argv); }
