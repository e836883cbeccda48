// Completion scripts for shells, made from the tree of commands that the parser itself uses, so they cannot lag behind it. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace waybill::cli {

enum class Complete { nothing, any, file, directory, words };

struct Flag {
    std::string name;         // --color
    std::string description;  // one line
    Complete value = Complete::nothing;  // nothing: takes no value
    std::vector<std::string> words;
};

struct Command {
    std::string name, description;
    std::vector<Flag> flags;
    std::vector<Command> commands;
    Complete argument = Complete::nothing;
    std::vector<std::string> argument_words;
};

enum class Shell { bash, zsh, fish };

std::string completion_script(Shell shell, const Command& program);

// The word of `known` that was most likely meant by `word`; empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace waybill::cli
