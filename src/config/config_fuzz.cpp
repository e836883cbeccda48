// Any bytes as waybill.yaml, and as flags. What loads must be written and read back to the same policy. The fuzzer reaches neither the
// process's environment nor the disk, and cannot generate secrets that come from there; every ${NAME} and file: has the same content.
#include <cstdlib>
#include <string>

#include "base/assert.h"
#include "config/load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace waybill;
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    static const SecretSources secrets = {[](const std::string&) -> std::optional<std::string> { return "0123456789abcdef"; },
                                          [](const std::string&) -> Result<std::string> { return std::string("0123456789abcdef\n"); }};
    // Lines after the first 0xFF byte are flags, key=value; such a byte is not valid UTF-8, so no file loses anything.
    const auto split = input.find('\xff');
    std::vector<std::pair<std::string, std::string>> flags;
    for (auto rest = split == input.npos ? std::string_view() : input.substr(split + 1); !rest.empty();) {
        const auto line = rest.substr(0, rest.find('\n'));
        const auto equals = line.find('=');
        flags.emplace_back(line.substr(0, equals), equals == line.npos ? std::string_view() : line.substr(equals + 1));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
    auto loaded = load_config(input.substr(0, split), "fuzz.yaml", flags, secrets);
    if (!loaded) {
        ASSERT(!loaded.error().message.empty());
        return 0;
    }
    const auto& config = loaded->config;
    const auto text = effective_yaml(config);
    if (text.contains("not shown") || !config.security.credentials.empty()) return 0;  // left out, so it need not load
    auto again = load_config(text, "effective.yaml", {}, secrets);
    ASSERT(again.ok());
    ASSERT(again->config.policy.version == config.policy.version);
    ASSERT(effective_yaml(again->config) == text);
    return 0;
}
