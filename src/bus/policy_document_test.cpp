#include "bus/policy_document.h"

#include <gtest/gtest.h>

#include <vector>

namespace waybill::bus {
namespace {

const std::string bus = "arn:aws:events:us-east-1:111111111111:event-bus/orders";

Permission permission(std::string id, std::string principal = "222222222222") {
    return {std::move(id), std::move(principal), "events:PutEvents", {}};
}

TEST(PolicyDocuments, StatementsStandAsAwsWasRecordedToShowThem) {
    PolicyDocument policy;
    EXPECT_TRUE(policy.empty());
    ASSERT_TRUE(policy.put(permission("one", "111111111111"), bus).ok());
    ASSERT_TRUE(policy.put(permission("two"), bus).ok());
    ASSERT_TRUE(policy.put(permission("all", "*"), bus).ok());
    EXPECT_EQ(
        policy.text(),
        R"({"Version":"2012-10-17","Statement":[)"
        R"({"Sid":"one","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"events:PutEvents","Resource":"arn:aws:events:us-east-1:111111111111:event-bus/orders"},)"
        R"({"Sid":"two","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":"events:PutEvents","Resource":"arn:aws:events:us-east-1:111111111111:event-bus/orders"},)"
        R"({"Sid":"all","Effect":"Allow","Principal":"*","Action":"events:PutEvents","Resource":"arn:aws:events:us-east-1:111111111111:event-bus/orders"}]})");
    EXPECT_FALSE(policy.empty());
}

TEST(PolicyDocuments, AKnownIdIsReplacedWhereItStands) {
    PolicyDocument policy;
    ASSERT_TRUE(policy.put(permission("a"), bus).ok());
    ASSERT_TRUE(policy.put(permission("b"), bus).ok());
    ASSERT_TRUE(policy.put(permission("a", "333333333333"), bus).ok());
    const std::string text = policy.text();
    EXPECT_LT(text.find("333333333333"), text.find(R"("Sid":"b")"));
    EXPECT_EQ(text.find("222222222222"), text.rfind("222222222222"));
}

TEST(PolicyDocuments, AConditionIsAnOrganization) {
    PolicyDocument policy;
    Permission org = permission("org", "*");
    org.condition = PermissionCondition{"StringEquals", "aws:PrincipalOrgID", "o-1"};
    ASSERT_TRUE(policy.put(org, bus).ok());
    EXPECT_NE(policy.text().find(R"("Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}})"), std::string::npos)
        << policy.text();
    org.principal = "222222222222";
    EXPECT_EQ(policy.put(org, bus).error().message,
              "Value of the parameter 'principal' must be '*' when the parameter 'condition' is set.");
    org.principal = "*";
    org.condition->type = "StringLike";
    EXPECT_FALSE(policy.put(org, bus).ok());
}

TEST(PolicyDocuments, WhatIsRefusedChangesNothing) {
    PolicyDocument policy;
    ASSERT_TRUE(policy.put(permission("a"), bus).ok());
    const PolicyDocument before = policy;
    EXPECT_EQ(policy.put(permission("b", ""), bus).error().message, "Parameter Principal must be specified.");
    for (std::string principal : {"12345678901", "1234567890123", "arn:aws:iam::1:root", "12345678901x", "**"})
        EXPECT_FALSE(policy.put(permission("b", principal), bus).ok()) << principal;
    for (std::string id : {"", "a b", "ä"}) EXPECT_FALSE(policy.put(permission(id), bus).ok()) << id;
    EXPECT_FALSE(policy.put(permission(std::string(65, 'a')), bus).ok());
    EXPECT_TRUE(PolicyDocument().put(permission(std::string(64, 'a')), bus).ok());
    Permission other = permission("b");
    other.action = "events:PutRule";
    EXPECT_EQ(policy.put(other, bus).error().message, "Provided value in parameter 'action' is not supported.");
    EXPECT_EQ(policy, before);
    for (int i = 0; i < 200; ++i) {
        auto added = policy.put(permission("s" + std::to_string(i)), bus);
        if (added.ok()) continue;
        EXPECT_EQ(added.error().kind, ErrorKind::overloaded);
        EXPECT_LE(policy.text().size(), policy_bytes);
        EXPECT_GT(i, 40);
        return;
    }
    FAIL() << "a policy without end";
}

TEST(PolicyDocuments, StatementsAreRemovedById) {
    PolicyDocument policy;
    EXPECT_EQ(policy.remove("a").error().message, "Statement with the provided id does not exist.");
    ASSERT_TRUE(policy.put(permission("a"), bus).ok());
    ASSERT_TRUE(policy.put(permission("b"), bus).ok());
    EXPECT_EQ(policy.remove("c").error().kind, ErrorKind::not_found);
    EXPECT_TRUE(policy.remove("a").ok());
    EXPECT_EQ(policy.text().find(R"("Sid":"a")"), std::string::npos);
    EXPECT_TRUE(policy.remove("b").ok());
    EXPECT_TRUE(policy.empty());
}

TEST(PolicyDocuments, AWholeDocumentIsKeptAsItIs) {
    auto policy = PolicyDocument::parse(
        R"( {"Version": "2012-10-17", "Id": "x", "Statement": [ {"Sid":"s","Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"events:ListRules","Resource":"*"}, {"Effect":"Deny","NotPrincipal":"*","Action":["a b"],"Resource":["*"],"Condition":{}} ] } )");
    ASSERT_TRUE(policy.ok()) << policy.error().message;
    EXPECT_EQ(
        policy->text(),
        R"({"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"s","Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"events:ListRules","Resource":"*"},{"Effect":"Deny","NotPrincipal":"*","Action":["a b"],"Resource":["*"],"Condition":{}}]})");
    EXPECT_EQ(*PolicyDocument::parse(policy->text()), *policy);
    EXPECT_EQ(policy->remove("").error().kind, ErrorKind::not_found);  // the one without a Sid stays
    ASSERT_TRUE(policy->put(permission("s"), bus).ok());
    EXPECT_EQ(policy->text().find("ListRules"), std::string::npos);
    auto one = PolicyDocument::parse(R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}})");
    ASSERT_TRUE(one.ok());
    EXPECT_EQ(one->text(),
              R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]})");
}

TEST(PolicyDocuments, DocumentsThatAreNone) {
    for (std::string_view bad : {"", "{", "[]", "7", R"({"a":)"})
        EXPECT_EQ(PolicyDocument::parse(bad).error().message, "This policy contains invalid Json") << bad;
    const std::string rest = R"("Principal":"*","Action":"*","Resource":"*"})";
    for (const std::string& bad : std::vector<std::string>{
             std::string(R"({})"), std::string(R"({"Version":"2020-01-01","Statement":[]})"), std::string(R"({"Statement":[1]})"),
             std::string(R"({"Statement":"x"})"), R"({"Other":1,"Statement":[{"Effect":"Allow",)" + rest + "]}",
             R"({"Statement":[{"Effect":"Maybe",)" + rest + "]}", R"({"Statement":[{)" + rest + "]}",
             R"({"Statement":[{"Effect":"Allow","NotPrincipal":"*",)" + rest + "]}",
             R"({"Statement":[{"Effect":"Allow","Condition":[],)" + rest + "]}",
             R"({"Statement":[{"Effect":"Allow","Sidd":"x",)" + rest + "]}",
             R"({"Statement":[{"Effect":"Allow","Principal":"*","Action":"*"}]})",
             R"({"Statement":[{"Sid":"x","Effect":"Allow",)" + rest + R"(,{"Sid":"x","Effect":"Allow",)" + rest + "]}"}) {
        auto policy = PolicyDocument::parse(bad);
        ASSERT_FALSE(policy.ok()) << bad;
        EXPECT_TRUE(policy.error().message.starts_with("Parameter Policy is not valid. Reason: "))
            << bad << policy.error().message;
    }
    EXPECT_EQ(PolicyDocument::parse(R"({"Statement":[],"Id":")" + std::string(policy_bytes, 'x') + "\"}").error().kind,
              ErrorKind::overloaded);
}

}  // namespace
}  // namespace waybill::bus
