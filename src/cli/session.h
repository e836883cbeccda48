// What every client command works with: the connection, the two streams and their terminals, the clock, and Ctrl-C. One a process.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/client.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "world/clock.h"

namespace waybill::cli {

struct CommonOptions {
    std::string url = "http://127.0.0.1:4566";
    std::string token;
    bool json = false;
    ColorMode color = ColorMode::automatic;
};

// An error as a person reads it, on stderr; returns the exit code that belongs to it.
int complain(const Error& error, ColorMode color);
void warn(std::string_view text, ColorMode color);
// To stdout, and out at once. False: nobody reads any more.
bool print(std::string_view text);

class Session {
public:
    explicit Session(const CommonOptions& options)
        : options(options), out(look(stdout, options.color)), err(look(stderr, options.color)), client(options.url, Secret(options.token), interrupt) {}

    int fail(const Error& error) { return interrupt.raised() ? static_cast<int>(exit_interrupted) : complain(error, options.color); }
    // The answer as one line of JSON; exit_ok.
    int print_json(const Answer& answer);

    const CommonOptions options;
    Interrupt interrupt;
    Terminal out, err;
    Client client;
    world::RealClock clock;
};

// A query string out of the parts that are not empty: query({{"q", "web"}, {"status", ""}}) is "?q=web".
std::string query(const std::vector<std::pair<std::string_view, std::string>>& parts);

}  // namespace waybill::cli
