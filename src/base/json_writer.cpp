#include "base/json_writer.h"

namespace waybill {

void JsonWriter::quote_into(std::string& out, std::string_view value) {
    static constexpr char hex[] = "0123456789abcdef";
    out.push_back('"');
    size_t from = 0;
    for (size_t i = 0; i < value.size(); ++i) {
        const auto c = static_cast<unsigned char>(value[i]);
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        out.append(value.substr(from, i - from));
        from = i + 1;
        switch (c) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            default: out += {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        }
    }
    out.append(value.substr(from));
    out.push_back('"');
}

}  // namespace waybill
