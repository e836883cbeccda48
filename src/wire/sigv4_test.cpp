#include "wire/sigv4.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waybill::wire {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const Credentials example{"AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), ""};
const TimeMs example_time = *parse_time("2015-08-30T12:36:00Z");

std::string authorization(const Signable& s, std::string_view service = "service") {
    SigningKeys keys;
    auto added = sign(s, example, "us-east-1", service, example_time, keys);
    EXPECT_TRUE(added.ok());
    return added.ok() ? added->back().second : "";
}

// The first case of AWS's published Signature Version 4 test suite ("get-vanilla").
TEST(Sigv4, signs_the_published_example) {
    EXPECT_EQ(authorization({"GET", "https://example.amazonaws.com/", {}, ""}),
              "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, "
              "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    // "get-vanilla-query-order-key-case"
    EXPECT_THAT(authorization({"GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", {}, ""}),
                HasSubstr("b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"));
}

TEST(Sigv4, paths_are_encoded_twice_except_for_s3) {
    auto path = [](std::string_view raw, std::string_view service) {
        std::string text = canonical_request("GET", raw, "", {}, "h", service).text;
        return text.substr(4, text.find('\n', 4) - 4);
    };
    EXPECT_EQ(path("/a%20b:c/../d//e/", "lambda"), "/d/e/");
    EXPECT_EQ(path("/a%20b:c", "lambda"), "/a%2520b%3Ac");
    EXPECT_EQ(path("/a%20b:c/../d//e/", "s3"), "/a%20b:c/../d//e/");
    EXPECT_EQ(path("/../..", "lambda"), "/");
    EXPECT_EQ(path("", "lambda"), "/");
}

TEST(Sigv4, the_canonical_form_sorts_folds_and_joins) {
    Canonical c = canonical_request("POST", "/", "b=2&a=1&a=%2f&=x",
                                    {{"X-B", "  two   words "}, {"x-a", "1"}, {"X-b", ""}, {"Host", "h"}}, "hash", "events");
    EXPECT_EQ(c.text, "POST\n/\n=x&a=%2F&a=1&b=2\nhost:h\nx-a:1\nx-b:two words,\n\nhost;x-a;x-b\nhash");
    EXPECT_EQ(c.signed_headers, "host;x-a;x-b");
}

// A request as it arrives, signed by us.
struct Arrived {
    http::ClientRequest request{"POST",
                                "http://127.0.0.1:4566/x?q=1",
                                {{"Content-Type", "application/x-amz-json-1.1"}, {"X-Amz-Target", "AWSEvents.PutEvents"}},
                                "{}"};
    Credentials credentials = example;
    TimeMs signed_at = example_time, now = example_time;
    SigningKeys keys;

    void sign_it() { ASSERT_TRUE(sign(request, credentials, "us-east-1", "events", signed_at, keys).ok()); }
    http::Head head(std::string_view target = "/x?q=1") {
        http::Head::Fields fields{{"Host", "127.0.0.1:4566"}};
        for (auto& [name, value] : request.headers) fields.emplace_back(name, value);
        return http::Head::make(request.method, target, fields);
    }
    std::variant<Caller, SignatureRefusal> check(const http::Head& head, std::string_view body = "{}") {
        return verify(
            head, body, [&](std::string_view key) { return key == example.access_key_id ? &example : nullptr; }, now, keys);
    }
    SignatureFault fault(const http::Head& head, std::string_view body = "{}") {
        auto result = check(head, body);
        EXPECT_EQ(result.index(), 1u);
        return result.index() == 1 ? std::get<1>(result).fault : SignatureFault{};
    }
    void set(std::string_view name, std::string value) {
        for (auto& [key, old] : request.headers)
            if (http::same_name(key, name)) old = value;
    }
};

TEST(Sigv4, believes_what_was_signed) {
    Arrived a;
    a.sign_it();
    auto result = a.check(a.head());
    ASSERT_EQ(result.index(), 0u) << std::get<1>(result).message;
    EXPECT_EQ(std::get<0>(result).access_key_id, "AKIDEXAMPLE");
    EXPECT_EQ(std::get<0>(result).region, "us-east-1");
    EXPECT_EQ(std::get<0>(result).service, "events");
    a.sign_it();  // signing again replaces
    EXPECT_EQ(a.check(a.head()).index(), 0u);
}

TEST(Sigv4, refuses_each_part_that_was_changed) {
    Arrived a;
    a.sign_it();
    EXPECT_EQ(a.fault(a.head(), "{ }"), SignatureFault::mismatch);
    EXPECT_EQ(a.fault(a.head("/x?q=2")), SignatureFault::mismatch);
    EXPECT_EQ(a.fault(a.head("/y?q=1")), SignatureFault::mismatch);
    a.set("X-Amz-Target", "AWSEvents.DeleteRule");
    EXPECT_EQ(a.fault(a.head()), SignatureFault::mismatch);
    Arrived other;
    other.credentials.secret_key = Secret("another");
    other.sign_it();
    EXPECT_EQ(other.fault(other.head()), SignatureFault::mismatch);
}

TEST(Sigv4, says_what_is_missing) {
    Arrived a;
    EXPECT_EQ(a.fault(a.head()), SignatureFault::missing);
    a.sign_it();
    std::string whole(a.head().header_or("Authorization"));
    for (std::string part : {"Credential=", "SignedHeaders=", "Signature="}) {
        std::string broken = whole;
        broken.replace(broken.find(part), part.size(), "X=");
        a.set("Authorization", broken);
        auto result = a.check(a.head());
        ASSERT_EQ(result.index(), 1u);
        EXPECT_EQ(std::get<1>(result).fault, SignatureFault::incomplete);
        EXPECT_THAT(std::get<1>(result).message, HasSubstr(part.substr(0, part.size() - 1)));
    }
    a.set("Authorization", "Basic dXNlcg==");
    EXPECT_EQ(a.fault(a.head()), SignatureFault::incomplete);
    a.set("Authorization", whole);
    a.set("X-Amz-Date", "20150831T123600Z");
    EXPECT_EQ(a.fault(a.head()), SignatureFault::incomplete);
}

TEST(Sigv4, unknown_keys_and_wrong_tokens_are_not_told_apart) {
    Arrived a;
    a.credentials.access_key_id = "AKIDOTHER";
    a.sign_it();
    EXPECT_EQ(a.fault(a.head()), SignatureFault::unknown_key);
    Arrived b;
    b.credentials.session_token = "token";
    b.sign_it();
    EXPECT_EQ(b.fault(b.head()), SignatureFault::unknown_key);
}

TEST(Sigv4, time_is_five_minutes_either_way) {
    Arrived a;
    a.sign_it();
    for (int64_t off : {max_clock_skew_ms, -max_clock_skew_ms}) {
        a.now = example_time + off;
        EXPECT_EQ(a.check(a.head()).index(), 0u);
        a.now = example_time + off + (off > 0 ? 1000 : -1000);
        EXPECT_EQ(a.fault(a.head()), SignatureFault::expired);
    }
    a.now = example_time + max_clock_skew_ms + 1000;
    EXPECT_EQ(std::get<1>(a.check(a.head())).message,
              "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)");
}

TEST(Sigv4, what_names_the_operation_must_be_signed) {
    Arrived a;
    a.request.headers = {{"Content-Type", "application/x-amz-json-1.1"}};
    a.sign_it();
    a.request.headers.emplace_back("X-Amz-Target", "AWSEvents.DeleteRule");
    EXPECT_EQ(a.fault(a.head()), SignatureFault::mismatch);
}

TEST(Sigv4, a_declared_hash_must_be_the_bodys) {
    Arrived a;
    Signable s{a.request.method, a.request.url, a.request.headers, "{}"};
    s.headers.emplace_back("X-Amz-Content-Sha256", sha256_hex("something else"));
    auto added = sign(s, example, "us-east-1", "events", example_time, a.keys);
    ASSERT_TRUE(added.ok());
    a.request.headers = s.headers;
    for (auto& field : *added) a.request.headers.push_back(field);
    EXPECT_EQ(a.fault(a.head(), "{}"), SignatureFault::mismatch);
    EXPECT_EQ(a.check(a.head(), "something else").index(), 0u);
}

TEST(Sigv4, each_protocol_names_a_refusal_its_own_way) {
    EXPECT_EQ(aws_error(SignatureRefusal{SignatureFault::mismatch, "m"}, Protocol::query).code, "SignatureDoesNotMatch");
    EXPECT_EQ(aws_error(SignatureRefusal{SignatureFault::mismatch, "m"}, Protocol::query).status, 403);
    EXPECT_EQ(aws_error(SignatureRefusal{SignatureFault::mismatch, "m"}, Protocol::json_1_1).code, "InvalidSignatureException");
    EXPECT_EQ(aws_error(SignatureRefusal{SignatureFault::unknown_key, "m"}, Protocol::query).code, "InvalidClientTokenId");
    EXPECT_EQ(aws_error(SignatureRefusal{SignatureFault::expired, "m"}, Protocol::query).code, "RequestExpired");
    EXPECT_EQ(aws_error(SignatureRefusal{SignatureFault::missing, "m"}, Protocol::query).code, "MissingAuthenticationToken");
    EXPECT_EQ(aws_error(SignatureRefusal{SignatureFault::incomplete, "m"}, Protocol::query).code, "IncompleteSignature");
}

TEST(Sigv4, only_urls_with_a_host_can_be_signed) {
    SigningKeys keys;
    for (std::string url : {"", "/x", "http://", "http:///x", "example.org"})
        EXPECT_FALSE(sign(Signable{"GET", url, {}, ""}, example, "r", "s", 0, keys).ok()) << url;
}

TEST(Secret, compares_and_forgets) {
    Secret a("one"), b = a, c = std::move(a);
    EXPECT_TRUE(b.matches("one"));
    EXPECT_FALSE(b.matches("onf"));
    EXPECT_FALSE(b.matches("on"));
    EXPECT_EQ(c.reveal(), "one");
    EXPECT_TRUE(a.empty());  // NOLINT: moved from on purpose
    b = Secret("two");
    EXPECT_EQ(b.reveal(), "two");
}

}  // namespace
}  // namespace waybill::wire
