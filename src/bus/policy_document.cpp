#include "bus/policy_document.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

#include "base/json_writer.h"
#include "bus/arn.h"
#include "bus/json_path.h"

namespace waybill::bus {
namespace {

using Members = std::vector<std::pair<std::string, std::string_view>>;

Error malformed(std::string_view reason) { return invalid(fmt::format("Parameter Policy is not valid. Reason: {}", reason)); }

const std::string_view* member(const Members& members, std::string_view name) {
    const auto found = std::ranges::find(members, name, &Members::value_type::first);
    return found == members.end() ? nullptr : &found->second;
}

std::optional<std::string> text_member(const Members& members, std::string_view name) {
    const auto* value = member(members, name);
    if (!value || value->size() < 2 || value->front() != '"') return {};
    return decode_json_string(*value);
}

// The text without the spaces between its parts. Nothing: not JSON.
std::optional<std::string> compact(std::string_view json) {
    thread_local simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (json.empty() || parser.parse(json.data(), json.size(), true).get(root) != simdjson::SUCCESS) return {};
    std::string out(json.size(), '\0');
    size_t size = 0;
    if (simdjson::minify(json.data(), json.size(), out.data(), size) != simdjson::SUCCESS) return {};
    out.resize(size);
    return out;
}

// Of a statement: Effect, whom, what and where. What the words in them mean is not looked at.
Result<void> check_statement(const Members& statement) {
    static constexpr std::string_view known[] = {"Sid",       "Effect",   "Principal",   "NotPrincipal", "Action",
                                                 "NotAction", "Resource", "NotResource", "Condition"};
    for (const auto& [name, value] : statement)
        if (std::ranges::find(known, name) == std::end(known))
            return malformed(fmt::format("a statement has no member {}", name));
    const auto effect = text_member(statement, "Effect");
    if (effect != "Allow" && effect != "Deny") return malformed("the Effect of a statement is Allow or Deny");
    for (const auto& [one, other] :
         {std::pair{"Principal", "NotPrincipal"}, {"Action", "NotAction"}, {"Resource", "NotResource"}})
        if ((member(statement, one) == nullptr) == (member(statement, other) == nullptr))
            return malformed(fmt::format("a statement has either {} or {}", one, other));
    if (const auto* condition = member(statement, "Condition"); condition && !condition->starts_with('{'))
        return malformed("the Condition of a statement is an object");
    return {};
}

bool statement_id_fits(std::string_view id) {
    return !id.empty() && id.size() <= statement_id_characters && std::ranges::all_of(id, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
}

}  // namespace

Result<PolicyDocument> PolicyDocument::parse(std::string_view json) {
    const auto text = compact(json);
    const auto members = text ? json_members(*text) : std::nullopt;
    if (!members) return invalid("This policy contains invalid Json");
    PolicyDocument policy;
    for (const auto& [name, value] : *members)
        if (name != "Version" && name != "Id" && name != "Statement")
            return malformed(fmt::format("a policy has no member {}", name));
    if (member(*members, "Version")) {
        policy.version_ = text_member(*members, "Version").value_or("");
        if (policy.version_ != "2012-10-17" && policy.version_ != "2008-10-17")
            return malformed("the Version is 2012-10-17 or 2008-10-17");
    }
    policy.document_id_ = text_member(*members, "Id").value_or("");
    const auto* statements = member(*members, "Statement");
    if (!statements) return malformed("a policy has a Statement");
    // One statement may stand without its brackets.
    std::vector<JsonMatch> found;
    const bool list = statements->starts_with('[');
    std::vector<std::string_view> parts;
    if (!list) {
        parts.push_back(*statements);
    } else {
        std::vector<JsonPath> paths;
        for (size_t i = 0; i <= policy_statements; ++i) paths.push_back(*JsonPath::parse(fmt::format("$[{}]", i)));
        if (!JsonPathSet(paths).find(*statements, 0, found)) return invalid("This policy contains invalid Json");
        for (const JsonMatch& match : found)
            if (match.found) parts.push_back(match.slice);
        if (parts.size() > policy_statements)
            return malformed(fmt::format("a policy has at most {} statements", policy_statements));
    }
    for (const std::string_view part : parts) {
        const auto statement = json_members(part);
        if (!statement) return malformed("a statement is an object");
        TRY_VOID(check_statement(*statement));
        std::string id = text_member(*statement, "Sid").value_or("");
        if (!id.empty() && std::ranges::find(policy.statements_, id, &Statement::id) != policy.statements_.end())
            return malformed(fmt::format("two statements have the Sid {}", id));
        policy.statements_.push_back({std::move(id), std::string(part)});
    }
    if (policy.text().size() > policy_bytes) return overloaded(fmt::format("The policy is longer than {} bytes.", policy_bytes));
    return policy;
}

Result<void> PolicyDocument::put(const Permission& permission, std::string_view bus_arn) {
    if (permission.principal.empty()) return invalid("Parameter Principal must be specified.");
    if (permission.condition && permission.principal != "*")
        return invalid("Value of the parameter 'principal' must be '*' when the parameter 'condition' is set.");
    const bool account = permission.principal.size() == 12 &&
                         std::ranges::all_of(permission.principal, [](char c) { return c >= '0' && c <= '9'; });
    if (!account && permission.principal != "*")
        return invalid(fmt::format(
            "1 validation error detected: Value '{}' at 'principal' failed to satisfy constraint: Member must satisfy "
            "regular expression pattern: (\\d{{12}}|\\*)",
            permission.principal));
    if (permission.action != "events:PutEvents") return invalid("Provided value in parameter 'action' is not supported.");
    if (!statement_id_fits(permission.statement_id))
        return invalid(fmt::format(
            "1 validation error detected: Value '{}' at 'statementId' failed to satisfy constraint: Member must satisfy "
            "regular expression pattern: [a-zA-Z0-9-_]+ and have length less than or equal to 64",
            permission.statement_id));
    if (permission.condition &&
        (permission.condition->type != "StringEquals" || permission.condition->key != "aws:PrincipalOrgID"))
        return invalid("Parameter Condition is not valid. Reason: Type must be StringEquals and Key must be aws:PrincipalOrgID.");
    const auto bus = parse_arn(bus_arn);
    std::string json;
    JsonWriter w(json);
    w.begin_object().key("Sid").text(permission.statement_id).key("Effect").text("Allow").key("Principal");
    if (account)
        w.begin_object()
            .key("AWS")
            .text(fmt::format("arn:{}:iam::{}:root", bus ? bus->partition : "aws", permission.principal))
            .end_object();
    else
        w.text("*");
    w.key("Action").text(permission.action).key("Resource").text(bus_arn);
    if (const auto& condition = permission.condition)
        w.key("Condition")
            .begin_object()
            .key(condition->type)
            .begin_object()
            .key(condition->key)
            .text(condition->value)
            .end_object()
            .end_object();
    w.end_object();
    PolicyDocument changed = *this;
    if (auto old = std::ranges::find(changed.statements_, permission.statement_id, &Statement::id);
        old != changed.statements_.end())
        old->json = std::move(json);
    else
        changed.statements_.push_back({permission.statement_id, std::move(json)});
    if (changed.text().size() > policy_bytes || changed.statements_.size() > policy_statements)
        return overloaded(
            fmt::format("The policy would be longer than {} bytes or {} statements.", policy_bytes, policy_statements));
    *this = std::move(changed);
    return {};
}

Result<void> PolicyDocument::remove(std::string_view statement_id) {
    const auto found = std::ranges::find(statements_, statement_id, &Statement::id);
    if (statement_id.empty() || found == statements_.end()) return not_found("Statement with the provided id does not exist.");
    statements_.erase(found);
    return {};
}

std::string PolicyDocument::text() const {
    std::string out;
    JsonWriter w(out);
    w.begin_object().key("Version").text(version_);
    if (!document_id_.empty()) w.key("Id").text(document_id_);
    w.key("Statement").begin_array();
    for (const Statement& statement : statements_) w.raw(statement.json);
    w.end_array().end_object();
    return out;
}

}  // namespace waybill::bus
