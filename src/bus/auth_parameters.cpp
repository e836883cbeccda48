#include "bus/auth_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/json_writer.h"
#include "bus/arn.h"

namespace waybill::bus {
namespace {

// -- what the API's model says of each member --

bool has_control(std::string_view text, std::string_view allowed) {
    return std::ranges::any_of(
        text, [&](char c) { return (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) && allowed.find(c) == allowed.npos; });
}
bool more_than_tabs(std::string_view text) { return text.find_first_not_of('\t') != text.npos; }
bool is_credential(std::string_view text) {
    return more_than_tabs(text) && !has_control(text, "\t") && text.find(':') == text.npos;
}
bool is_header_name(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view("!#$%&'*+,-.^_`|~").find(c) != std::string_view::npos;
    });
}
bool is_header_value(std::string_view text) {
    return more_than_tabs(text) && !has_control(text, "\t") &&
           std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) > 0x7f; });
}
bool is_query_name(std::string_view text) { return !text.empty() && !has_control(text, ""); }
bool is_query_value(std::string_view text) { return !text.empty() && !has_control(text, "\r\n"); }
bool is_resource_configuration(std::string_view text) {
    const auto arn = parse_arn(text);
    return text.empty() || (arn && arn->service == "vpc-lattice" && arn->resource.starts_with("resourceconfiguration/rcfg-"));
}

bool is_endpoint(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '%') {
            auto hex = [&](size_t at) { return at < text.size() && std::isxdigit(static_cast<unsigned char>(text[at])); };
            if (!hex(i + 1) || !hex(i + 2)) return false;
            i += 2;
        } else if (!std::isalnum(static_cast<unsigned char>(c)) &&
                   std::string_view("-()_.!~*';/?:@&=+$,").find(c) == std::string_view::npos) {
            return false;
        }
    }
    return !text.empty();
}
const TextRule rule_endpoint{1, 2048, {R"(^((%[0-9A-Fa-f]{2}|[-()_.!~*';/?:@\x26=+$,A-Za-z0-9])+)([).!';/?:,])?$)", is_endpoint}};

constexpr std::string_view credential_form = R"(^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$)";
const TextRule rule_credential{1, 512, {credential_form, is_credential}};
const TextRule rule_secret_credential{1, 512, {credential_form, is_credential}, {}, true};
const TextRule rule_oauth_method{0, unlimited, {}, {"GET", "POST", "PUT"}};
const TextRule rule_resource_configuration{
    0,
    2048,
    {R"(^(?:^arn:[a-z0-9\-]+:vpc-lattice:[a-zA-Z0-9\-]+:\d{12}:resourceconfiguration/rcfg-[0-9a-z]{17}$|^$)",
     is_resource_configuration}};

struct ParameterRules {
    TextRule key, value;
};
const ParameterRules header_rules{{0, 512, {"^[!#$%&'*+-.^_`|~0-9a-zA-Z]+$", is_header_name}},
                                  {0, 512, {R"(^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$)", is_header_value}, {}, true}};
const ParameterRules query_rules{{0, 512, {R"([^\x00-\x1F\x7F]+)", is_query_name}},
                                 {0, 512, {R"([^\x00-\x09\x0B\x0C\x0E-\x1F\x7F]+)", is_query_value}, {}, true}};
const ParameterRules body_rules{{}, {0, unlimited, {}, {}, true}};

std::optional<Secret> read_secret(Members& in, std::string_view name, Need need) {
    auto text = in.text(name, rule_secret_credential, need);
    if (!text) return {};
    return Secret(std::move(*text));
}

std::optional<std::vector<AuthParameter>> read_list(Members& in, std::string_view name, const ParameterRules& rules) {
    auto list = in.structures(name, {0, 100});
    if (!list) return {};
    std::vector<AuthParameter> all;
    for (Members& one : *list) {
        AuthParameter& p = all.emplace_back();
        p.key = one.text("Key", rules.key).value_or("");
        if (auto value = one.text("Value", rules.value)) p.value.emplace(std::move(*value));
        p.is_secret = one.boolean("IsValueSecret");
    }
    return all;
}

std::optional<AuthHttpParameters> read_http(Members& in, std::string_view name) {
    auto http = in.structure(name);
    if (!http) return {};
    AuthHttpParameters p;
    p.headers = read_list(*http, "HeaderParameters", header_rules);
    p.query = read_list(*http, "QueryStringParameters", query_rules);
    p.body = read_list(*http, "BodyParameters", body_rules);
    return p;
}

enum class Show { everything, no_secrets };

void write(JsonWriter& w, std::string_view name, const std::optional<std::string>& text) {
    if (text) w.key(name).text(*text);
}
void write(JsonWriter& w, std::string_view name, const std::optional<Secret>& secret, Show show) {
    if (secret && show == Show::everything) w.key(name).text(secret->reveal());
}
void write(JsonWriter& w, std::string_view name, const std::optional<std::vector<AuthParameter>>& list, Show show) {
    if (!list) return;
    w.key(name).begin_array();
    for (const auto& parameter : *list) {
        w.begin_object();
        write_text(w, "Key", parameter.key);
        const bool secret = parameter.is_secret.value_or(false);
        if (parameter.value && (show == Show::everything || !secret)) w.key("Value").text(parameter.value->reveal());
        if (show == Show::no_secrets || parameter.is_secret) w.key("IsValueSecret").boolean(secret);
        w.end_object();
    }
    w.end_array();
}
void write(JsonWriter& w, std::string_view name, const std::optional<AuthHttpParameters>& http, Show show) {
    if (!http) return;
    w.key(name).begin_object();
    write(w, "HeaderParameters", http->headers, show);
    write(w, "QueryStringParameters", http->query, show);
    write(w, "BodyParameters", http->body, show);
    w.end_object();
}

std::string written(const AuthParameters& p, Show show) {
    std::string json;
    JsonWriter w(json);
    w.begin_object();
    if (p.basic) {
        w.key("BasicAuthParameters").begin_object();
        write(w, "Username", p.basic->username);
        write(w, "Password", p.basic->password, show);
        w.end_object();
    }
    if (p.oauth) {
        w.key("OAuthParameters").begin_object();
        w.key("ClientParameters").begin_object();
        write(w, "ClientID", p.oauth->client_id);
        write(w, "ClientSecret", p.oauth->client_secret, show);
        w.end_object();
        write(w, "AuthorizationEndpoint", p.oauth->endpoint);
        write(w, "HttpMethod", p.oauth->method);
        write(w, "OAuthHttpParameters", p.oauth->http, show);
        w.end_object();
    }
    if (p.api_key) {
        w.key("ApiKeyAuthParameters").begin_object();
        write(w, "ApiKeyName", p.api_key->name);
        write(w, "ApiKeyValue", p.api_key->value, show);
        w.end_object();
    }
    write(w, "InvocationHttpParameters", p.invocation, show);
    if (p.resource_configuration) {
        w.key("ConnectivityParameters").begin_object().key("ResourceParameters").begin_object();
        write(w, "ResourceConfigurationArn", p.resource_configuration);
        w.end_object().end_object();
    }
    if (show == Show::everything) {
        if (!p.type.empty()) w.key("AuthorizationType").text(p.type);
        if (p.onto) w.key("Onto").text(fmt::format("{:016x}", p.onto));
    }
    w.end_object();
    return json;
}

template <class T>
void replace(std::optional<T>& old, const std::optional<T>& update) {
    if (update) old = update;
}
void replace(std::optional<AuthHttpParameters>& old, const std::optional<AuthHttpParameters>& update) {
    if (!update) return;
    if (!old) old.emplace();
    replace(old->headers, update->headers);
    replace(old->query, update->query);
    replace(old->body, update->body);
}

std::vector<ConnectionParameter> for_courier(const std::optional<std::vector<AuthParameter>>& list) {
    std::vector<ConnectionParameter> all;
    if (list)
        for (const auto& p : *list) all.push_back({p.key, p.value.value_or(Secret())});
    return all;
}

}  // namespace

std::optional<std::string> read_endpoint(Members& in, std::string_view name, Need need) {
    const auto text = in.text(name, rule_endpoint, need);
    if (!text) return {};
    const size_t host = text->starts_with("https://") ? 8 : text->starts_with("http://") ? 7 : 0;
    if (host == 0 || text->size() == host || std::string_view("/?:@").find((*text)[host]) != std::string_view::npos) {
        in.broken(name, *text, "Member must be a URL that begins with https:// or http:// and names a host");
        return {};
    }
    return text;
}

AuthParameters read_auth_parameters(Members& in, Need need) {
    AuthParameters p;
    if (auto basic = in.structure("BasicAuthParameters")) {
        p.basic.emplace();
        p.basic->username = basic->text("Username", rule_credential, need);
        p.basic->password = read_secret(*basic, "Password", need);
    }
    if (auto oauth = in.structure("OAuthParameters")) {
        p.oauth.emplace();
        if (auto client = oauth->structure("ClientParameters", need)) {
            p.oauth->client_id = client->text("ClientID", rule_credential, need);
            p.oauth->client_secret = read_secret(*client, "ClientSecret", need);
        }
        p.oauth->endpoint = read_endpoint(*oauth, "AuthorizationEndpoint", need);
        p.oauth->method = oauth->text("HttpMethod", rule_oauth_method, need);
        p.oauth->http = read_http(*oauth, "OAuthHttpParameters");
    }
    if (auto key = in.structure("ApiKeyAuthParameters")) {
        p.api_key.emplace();
        p.api_key->name = key->text("ApiKeyName", rule_credential, need);
        p.api_key->value = read_secret(*key, "ApiKeyValue", need);
    }
    p.invocation = read_http(in, "InvocationHttpParameters");
    if (auto connectivity = in.structure("ConnectivityParameters"))
        p.resource_configuration = read_resource_configuration(*connectivity);
    return p;
}

std::optional<std::string> read_resource_configuration(Members& in) {
    auto resource = in.structure("ResourceParameters", Need::required);
    if (!resource) return {};
    return resource->text("ResourceConfigurationArn", rule_resource_configuration, Need::required);
}

bool complete(const AuthParameters& p, std::string_view type, std::string_view& missing) {
    if (type == "BASIC") {
        missing = "BasicAuthParameters";
        return p.basic && p.basic->username && p.basic->password;
    }
    if (type == "API_KEY") {
        missing = "ApiKeyAuthParameters";
        return p.api_key && p.api_key->name && p.api_key->value;
    }
    missing = "OAuthParameters";
    return p.oauth && p.oauth->client_id && p.oauth->client_secret && p.oauth->endpoint && p.oauth->method;
}

Result<AuthParameters> parse_auth_parameters(std::string_view json) {
    RequestBody body(json);
    Members root = body.root();
    AuthParameters p = read_auth_parameters(root, Need::optional);
    p.type = root.text("AuthorizationType").value_or("");
    const std::string onto = root.text("Onto").value_or("0");
    const auto [end, error] = std::from_chars(onto.data(), onto.data() + onto.size(), p.onto, 16);
    // What was wrong would be said with the value that was wrong.
    if (json.empty() || body.error() || error != std::errc{} || end != onto.data() + onto.size())
        return corrupt("this is not the AuthParameters of a connection as they were kept");
    return p;
}

std::string to_json(const AuthParameters& parameters) { return written(parameters, Show::everything); }
std::string shown_json(const AuthParameters& parameters) { return written(parameters, Show::no_secrets); }

AuthParameters merged(AuthParameters old, const AuthParameters& update) {
    if (update.basic) {
        if (!old.basic) old.basic.emplace();
        replace(old.basic->username, update.basic->username);
        replace(old.basic->password, update.basic->password);
    }
    if (update.oauth) {
        if (!old.oauth) old.oauth.emplace();
        replace(old.oauth->client_id, update.oauth->client_id);
        replace(old.oauth->client_secret, update.oauth->client_secret);
        replace(old.oauth->endpoint, update.oauth->endpoint);
        replace(old.oauth->method, update.oauth->method);
        replace(old.oauth->http, update.oauth->http);
    }
    if (update.api_key) {
        if (!old.api_key) old.api_key.emplace();
        replace(old.api_key->name, update.api_key->name);
        replace(old.api_key->value, update.api_key->value);
    }
    replace(old.invocation, update.invocation);
    replace(old.resource_configuration, update.resource_configuration);
    old.type = update.type;
    old.onto = 0;
    if (old.type != "BASIC") old.basic.reset();
    if (old.type != "OAUTH_CLIENT_CREDENTIALS") old.oauth.reset();
    if (old.type != "API_KEY") old.api_key.reset();
    return old;
}

Result<ConnectionCredentials> connection_credentials(const Secret& stored) {
    TRY(auto read, parse_auth_parameters(stored.reveal()));
    ConnectionCredentials c;
    if (read.basic) {
        c.auth = {ConnectionAuth::Kind::basic, read.basic->username.value_or(""), read.basic->password.value_or(Secret())};
    } else if (read.api_key) {
        c.auth = {ConnectionAuth::Kind::api_key, read.api_key->name.value_or(""), read.api_key->value.value_or(Secret())};
    } else if (read.oauth) {
        c.auth.kind = ConnectionAuth::Kind::bearer;
        c.oauth = std::move(read.oauth);
    }
    if (read.invocation) {
        c.headers = for_courier(read.invocation->headers);
        c.query = for_courier(read.invocation->query);
        c.body = for_courier(read.invocation->body);
    }
    return c;
}

}  // namespace waybill::bus
