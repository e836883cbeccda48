#include "cli/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace waybill::cli {
namespace {

using Visit = std::function<void(const std::string& path, const Command& command)>;

// Every command with its path: "", "dlq", "dlq redrive".
void walk(const Command& command, const std::string& path, const Visit& visit) {
    visit(path, command);
    for (const Command& c : command.commands) walk(c, path.empty() ? c.name : path + " " + c.name, visit);
}

std::string joined(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& w : words) out += (out.empty() ? "" : " ") + w;
    return out;
}

// Text inside single quotes of a POSIX shell (fish: with its own escapes).
std::string quoted(std::string_view text, bool fish = false) {
    std::string out = "'";
    for (char c : text) {
        if (c == '\'') out += fish ? "\\'" : "'\\''";
        else if (fish && c == '\\') out += "\\\\";
        else out += c;
    }
    return out + "'";
}

// Both bash and zsh: finds which command the words before the cursor name. Words of options and their values are stepped over.
std::string path_cases(const Command& program) {
    std::string out;
    walk(program, "", [&](const std::string& path, const Command& command) {
        for (const Command& c : command.commands) {
            std::string key = path.empty() ? c.name : path + " " + c.name;
            out += fmt::format("            {}) path={} ;;\n", quoted(key), quoted(key));
        }
    });
    return out;
}

std::string bash(const Command& program) {
    std::string words, values;
    walk(program, "", [&](const std::string& path, const Command& command) {
        std::string flags, commands, cases;
        for (const Flag& f : command.flags) {
            flags += " " + f.name;
            switch (f.value) {
                case Complete::nothing: break;
                case Complete::any: cases += fmt::format("        {}) return ;;\n", quoted(path + "|" + f.name)); break;
                case Complete::file: cases += fmt::format("        {}) compopt -o filenames; COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n", quoted(path + "|" + f.name)); break;
                case Complete::directory: cases += fmt::format("        {}) compopt -o filenames; COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n", quoted(path + "|" + f.name)); break;
                case Complete::words:
                    cases += fmt::format("        {}) COMPREPLY=($(compgen -W {} -- \"$current\")); return ;;\n", quoted(path + "|" + f.name), quoted(joined(f.words)));
                    break;
            }
        }
        for (const Command& c : command.commands) commands += (commands.empty() ? "" : " ") + c.name;
        std::string argument = commands.empty() ? joined(command.argument_words) : commands;
        std::string files = command.argument == Complete::file ? "-f" : command.argument == Complete::directory ? "-d" : "";
        words += fmt::format("        {}) flags={}; words={}; files={} ;;\n", quoted(path), quoted(flags.empty() ? "" : flags.substr(1)), quoted(argument), quoted(files));
        values += cases;
    });
    return fmt::format(R"(# bash completion for waybill; load it with: source <(waybill completion bash)
_waybill() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
    local path='' word key i flags='' words='' files=''
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${{COMP_WORDS[i]}}"
        key="${{path:+$path }}$word"
        case "$key" in
{}        esac
    done
    case "$path|$previous" in
{}    esac
    case "$path" in
{}    esac
    if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$current"))
    else
        COMPREPLY=($(compgen -W "$words" -- "$current"))
        if [[ -n $files ]]; then
            compopt -o filenames
            COMPREPLY+=($(compgen $files -- "$current"))
        fi
    fi
}}
complete -F _waybill waybill
)",
                       path_cases(program), values, words);
}

std::string zsh(const Command& program) {
    std::string cases, values;
    auto pair = [](const std::string& name, std::string description) {
        std::string escaped;
        for (char c : name) escaped += c == ':' ? std::string("\\:") : std::string(1, c);
        return quoted(escaped + ":" + description);
    };
    walk(program, "", [&](const std::string& path, const Command& command) {
        std::string commands, flags;
        for (const Command& c : command.commands) commands += " " + pair(c.name, c.description);
        for (const std::string& w : command.argument_words) commands += " " + pair(w, "");
        for (const Flag& f : command.flags) {
            flags += " " + pair(f.name, f.description);
            std::string key = quoted(path + "|" + f.name);
            if (f.value == Complete::any) values += fmt::format("        {}) _message value; return ;;\n", key);
            if (f.value == Complete::file) values += fmt::format("        {}) _files; return ;;\n", key);
            if (f.value == Complete::directory) values += fmt::format("        {}) _files -/; return ;;\n", key);
            if (f.value == Complete::words) values += fmt::format("        {}) compadd -- {}; return ;;\n", key, joined(f.words));
        }
        std::string files = command.argument == Complete::file ? "_files" : command.argument == Complete::directory ? "_files -/" : "";
        cases += fmt::format("        {}) commands=({}); flags=({}); files={} ;;\n", quoted(path), commands.empty() ? "" : commands.substr(1), flags.empty() ? "" : flags.substr(1), quoted(files));
    });
    return fmt::format(R"(#compdef waybill
# zsh completion for waybill; put it into a directory of $fpath as _waybill, or: source <(waybill completion zsh)
_waybill() {{
    local word key cmdpath='' files='' i
    local -a commands flags
    for ((i = 2; i < CURRENT; i++)); do
        word="${{words[i]}}"
        key="${{cmdpath:+$cmdpath }}$word"
        case "$key" in
{}        esac
    done
    case "$cmdpath|${{words[CURRENT-1]}}" in
{}    esac
    case "$cmdpath" in
{}    esac
    if [[ "${{words[CURRENT]}}" == -* ]]; then
        _describe -o option flags
    else
        (( $#commands )) && _describe command commands
        [[ -n $files ]] && ${{=files}}
    fi
}}
if [ "${{funcstack[1]}}" = "_waybill" ]; then _waybill "$@"; else compdef _waybill waybill; fi
)",
                       [&] {
                           // `path` is tied to PATH in zsh.
                           std::string text = path_cases(program);
                           for (size_t at = 0; (at = text.find(") path=", at)) != std::string::npos; at += 7) text.replace(at, 7, ") cmdpath=");
                           return text;
                       }(),
                       values, cases);
}

std::string fish(const Command& program) {
    std::string out = "# fish completion for waybill; save it as ~/.config/fish/completions/waybill.fish\ncomplete -c waybill -f\n";
    walk(program, "", [&](const std::string& path, const Command& command) {
        std::string condition;
        if (path.empty()) {
            condition = "__fish_use_subcommand";
        } else {
            size_t blank = path.find(' ');
            condition = "__fish_seen_subcommand_from " + path.substr(0, blank);
            if (blank != std::string::npos) condition += "; and __fish_seen_subcommand_from " + path.substr(blank + 1);
            if (!command.commands.empty()) {
                condition += "; and not __fish_seen_subcommand_from";
                for (const Command& c : command.commands) condition += " " + c.name;
            }
        }
        std::string head = fmt::format("complete -c waybill -n {}", quoted(condition, true));
        for (const Command& c : command.commands) out += fmt::format("{} -a {} -d {}\n", head, c.name, quoted(c.description, true));
        if (!command.argument_words.empty()) out += fmt::format("{} -a {}\n", head, quoted(joined(command.argument_words), true));
        if (command.argument == Complete::file) out += head + " -F\n";
        if (command.argument == Complete::directory) out += head + " -a '(__fish_complete_directories)'\n";
        for (const Flag& f : command.flags) {
            if (!f.name.starts_with("--")) continue;
            std::string value = f.value == Complete::nothing     ? ""
                                : f.value == Complete::file      ? " -r -F"
                                : f.value == Complete::directory ? " -x -a '(__fish_complete_directories)'"
                                : f.value == Complete::words     ? " -x -a " + quoted(joined(f.words), true)
                                                                 : " -x";
            out += fmt::format("{} -l {}{} -d {}\n", head, f.name.substr(2), value, quoted(f.description, true));
        }
    });
    return out;
}

size_t distance(std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            size_t above = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = above;
        }
    }
    return row[b.size()];
}

}  // namespace

std::string completion_script(Shell shell, const Command& program) {
    switch (shell) {
        case Shell::bash: return bash(program);
        case Shell::zsh: return zsh(program);
        case Shell::fish: return fish(program);
    }
    return "";
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
    std::string best;
    size_t least = std::max<size_t>(word.size() / 2, 1) + 1;
    for (const std::string& k : known) {
        size_t d = distance(word, k);
        if (d < least) {
            least = d;
            best = k;
        }
    }
    return best;
}

}  // namespace waybill::cli
