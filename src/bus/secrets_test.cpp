#include "bus/secrets.h"

#include <gtest/gtest.h>

#include <thread>

#include "bus/auth_parameters.h"
#include "world/sim_disk.h"

namespace waybill::bus {
namespace {

const std::string basic = R"({"BasicAuthParameters":{"Username":"u","Password":"p"},"AuthorizationType":"BASIC"})";

std::vector<std::string> files(world::Disk& disk) {
    auto names = disk.list("data/secrets");
    return names.ok() ? *names : std::vector<std::string>{};
}
std::string text(Result<Secret> secret) { return secret.ok() ? secret->reveal() : std::string(to_string(secret.error().kind)); }

TEST(Secrets, AreReadBackByAnotherProcess) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        world::SimDisk disk(seed);
        {
            Secrets secrets(disk, "data/secrets");
            ASSERT_TRUE(secrets.keep(0xabc, basic).ok());
            EXPECT_EQ(text(secrets.read(0xabc)), basic);
        }
        disk.crash();
        EXPECT_EQ(files(disk), std::vector<std::string>{"0000000000000abc.json"}) << seed;
        Secrets secrets(disk, "data/secrets");
        EXPECT_EQ(text(secrets.read(0xabc)), basic) << seed;
        EXPECT_EQ(text(secrets.read(0xabd)), "not_found");
    }
}

TEST(Secrets, AreWholeOrNotThereAfterEveryCrash) {
    for (uint64_t cut = 1; cut < 12; ++cut) {
        world::SimDisk disk(cut);
        ASSERT_TRUE(disk.make_directories("data").ok());
        bool kept = false;
        {
            Secrets secrets(disk, "data/secrets");
            disk.cut_power(cut);
            kept = secrets.keep(7, basic).ok();
        }
        disk.crash();
        Secrets secrets(disk, "data/secrets");
        const std::string found = text(secrets.read(7));
        if (kept)
            EXPECT_EQ(found, basic) << cut;
        else
            EXPECT_TRUE(found == basic || found == "not_found") << cut << found;
        ASSERT_TRUE(secrets.sweep({}).ok());
        EXPECT_TRUE(files(disk).empty()) << cut << ": what a crash left is swept";
    }
}

TEST(Secrets, AnUpdateIsMergedWithTheSecretItChanges) {
    world::SimDisk disk(1);
    Secrets secrets(disk, "data/secrets");
    ASSERT_TRUE(secrets.keep(1, basic).ok());
    ASSERT_TRUE(
        secrets.keep(2, R"({"BasicAuthParameters":{"Username":"new"},"AuthorizationType":"BASIC","Onto":"0000000000000001"})")
            .ok());
    EXPECT_EQ(text(secrets.read(2)), R"({"BasicAuthParameters":{"Username":"new","Password":"p"},"AuthorizationType":"BASIC"})");
    EXPECT_EQ(text(secrets.read(1)), basic) << "a secret never changes";
    const auto lost = secrets.keep(3, R"({"AuthorizationType":"BASIC","Onto":"0000000000000009"})");
    ASSERT_FALSE(lost.ok());
    EXPECT_EQ(lost.error().kind, ErrorKind::not_found);
}

TEST(Secrets, ASweepSparesWhatIsUsedAndWhatIsOnItsWay) {
    world::SimDisk disk(1);
    Secrets secrets(disk, "data/secrets");
    ASSERT_TRUE(secrets.sweep({}).ok()) << "without a directory";
    for (uint64_t id : {1, 2, 3}) ASSERT_TRUE(secrets.keep(id, basic).ok());
    ASSERT_TRUE(secrets.sweep({1, 2}).ok());
    EXPECT_EQ(files(disk).size(), 3u) << "the change that names 3 may still come";
    ASSERT_TRUE(secrets.sweep({1}).ok());
    EXPECT_EQ(files(disk), (std::vector<std::string>{"0000000000000001.json", "0000000000000003.json"}));
    EXPECT_EQ(text(secrets.read(2)), "not_found") << "not in memory either";
    ASSERT_TRUE(disk.open("data/secrets/notes.txt", world::OpenMode::create).ok());
    Secrets later(disk, "data/secrets");
    ASSERT_TRUE(later.sweep({1}).ok());
    EXPECT_EQ(files(disk), (std::vector<std::string>{"0000000000000001.json", "notes.txt"}))
        << "of another process nothing is on its way";
}

TEST(Secrets, NoErrorSaysOne) {
    world::SimDisk disk(1);
    Secrets secrets(disk, "data/secrets");
    ASSERT_TRUE(secrets.keep(1, basic).ok());
    {
        const auto file = disk.open("data/secrets/0000000000000002.json", world::OpenMode::create);
        ASSERT_TRUE(file.ok() && (*file)->write_at(0, R"({"BasicAuthParameters":{"Username":"a:b","Password":"hunter2"})").ok());
    }
    const auto stored = secrets.read(2);
    ASSERT_TRUE(stored.ok());
    const auto read = connection_credentials(*stored);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().kind, ErrorKind::corrupt);
    EXPECT_EQ(read.error().message.find("hunter2"), std::string::npos);
    EXPECT_EQ(read.error().message.find("a:b"), std::string::npos);
    const auto kept =
        secrets.keep(3, R"({"BasicAuthParameters":{"Username":"u","Password":"hunter2:"},"AuthorizationType":"BASIC"})");
    ASSERT_FALSE(kept.ok());
    EXPECT_EQ(kept.error().message.find("hunter2"), std::string::npos);
    disk.fail_write(1);
    EXPECT_FALSE(secrets.keep(4, basic).ok());
    EXPECT_EQ(text(secrets.read(4)), "not_found") << "what was not kept is not in memory";
}

TEST(Secrets, AreKeptReadAndSweptByManyThreads) {
    world::SimDisk disk(1);
    Secrets secrets(disk, "data/secrets");
    {
        std::vector<std::jthread> threads;
        for (uint64_t t = 0; t < 4; ++t)
            threads.emplace_back([&, t] {
                for (uint64_t i = 1; i <= 20; ++i) {
                    const uint64_t id = t * 100 + i;
                    EXPECT_TRUE(secrets.keep(id, basic).ok());
                    EXPECT_EQ(text(secrets.read(id)), basic);
                    EXPECT_TRUE(secrets.sweep({}).ok()) << "all of them are on their way";
                }
            });
    }
    EXPECT_EQ(files(disk).size(), 80u);
    Secrets later(disk, "data/secrets");
    EXPECT_EQ(text(later.read(320)), basic);
}

// -- what a courier is given --

TEST(AuthParameters, BecomeWhatACourierNeeds) {
    const auto key = connection_credentials(Secret(
        R"({"ApiKeyAuthParameters":{"ApiKeyName":"X-Key","ApiKeyValue":"k"},"InvocationHttpParameters":{"HeaderParameters":[{"Key":"H","Value":"1"}],)"
        R"("QueryStringParameters":[{"Key":"q","Value":"2","IsValueSecret":true}],"BodyParameters":[{"Key":"b","Value":"3"},{"Key":"c"}]}})"));
    ASSERT_TRUE(key.ok());
    EXPECT_EQ(key->auth.kind, ConnectionAuth::Kind::api_key);
    EXPECT_EQ(key->auth.name, "X-Key");
    EXPECT_EQ(key->auth.value.reveal(), "k");
    ASSERT_EQ(key->headers.size(), 1u);
    EXPECT_EQ(key->headers[0].name + key->headers[0].value.reveal(), "H1");
    ASSERT_EQ(key->query.size(), 1u);
    EXPECT_EQ(key->query[0].name + key->query[0].value.reveal(), "q2");
    ASSERT_EQ(key->body.size(), 2u);
    EXPECT_EQ(key->body[1].name + key->body[1].value.reveal(), "c");
    EXPECT_FALSE(key->oauth);
    const auto user = connection_credentials(Secret(basic));
    ASSERT_TRUE(user.ok());
    EXPECT_EQ(user->auth.kind, ConnectionAuth::Kind::basic);
    EXPECT_EQ(user->auth.name + user->auth.value.reveal(), "up");
    const auto oauth = connection_credentials(Secret(
        R"({"OAuthParameters":{"ClientParameters":{"ClientID":"i","ClientSecret":"s"},"AuthorizationEndpoint":"https://e/t","HttpMethod":"POST"}})"));
    ASSERT_TRUE(oauth.ok() && oauth->oauth);
    EXPECT_EQ(oauth->auth.kind, ConnectionAuth::Kind::bearer);
    EXPECT_TRUE(oauth->auth.value.empty()) << "the token comes later";
    EXPECT_EQ(*oauth->oauth->client_id + oauth->oauth->client_secret->reveal() + *oauth->oauth->endpoint, "ishttps://e/t");
}

}  // namespace
}  // namespace waybill::bus
