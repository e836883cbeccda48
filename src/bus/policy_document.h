// The resource policy of an event bus: who may put events on it. PutPermission adds one statement by its id, or replaces the
// whole policy by a document; RemovePermission takes statements away; DescribeEventBus shows the document. Order, members and
// words are those that AWS was recorded with (put a statement of a known id: it is replaced where it stands; the last one
// removed: no policy at all).
//
// It keeps a document and checks its form; it never decides whether somebody may do something. A value type; pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace waybill::bus {

constexpr size_t policy_bytes = 10'240;         // of a bus's policy; EventBridge quota: 10,240 characters
constexpr size_t statement_id_characters = 64;  // EventBridge: StatementId 64
constexpr size_t policy_statements = 100;       // of one document; what 10,240 bytes can hold of the smallest

struct PermissionCondition {
    std::string type, key, value;  // AWS takes only StringEquals on aws:PrincipalOrgID
};

// PutPermission without Policy.
struct Permission {
    std::string statement_id, principal, action;  // an account or "*"; "events:PutEvents"
    std::optional<PermissionCondition> condition;
};

class PolicyDocument {
public:
    // Reads a whole policy, as PutPermission's Policy gives it or as text() wrote it. Invalid: AWS's ValidationException.
    static Result<PolicyDocument> parse(std::string_view json);

    // Adds or replaces one statement on the bus of that ARN. Invalid: ValidationException. Overloaded: the policy would be longer
    // than policy_bytes (PolicyLengthExceededException); then nothing has changed.
    Result<void> put(const Permission& permission, std::string_view bus_arn);
    // not_found: ResourceNotFoundException, "Statement with the provided id does not exist."
    Result<void> remove(std::string_view statement_id);

    // Without statements there is no policy: DescribeEventBus leaves it out.
    bool empty() const { return statements_.empty(); }
    // {"Version":"2012-10-17","Statement":[…]}, compact.
    std::string text() const;

    bool operator==(const PolicyDocument&) const = default;

private:
    struct Statement {
        std::string id, json;  // the id is empty where the document gave none
        bool operator==(const Statement&) const = default;
    };
    std::string version_ = "2012-10-17", document_id_;
    std::vector<Statement> statements_;
};

}  // namespace waybill::bus
