#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/console_assets.h"

namespace waybill::server {
namespace {

TEST(ConsoleAssets, TheIndexIsFoundAtTheRootAndByName) {
    const Asset* index = find_asset("/");
    ASSERT_NE(index, nullptr);
    EXPECT_EQ(index, find_asset("/index.html"));
    EXPECT_EQ(index->content_type, "text/html; charset=utf-8");
    EXPECT_FALSE(index->immutable);
    EXPECT_TRUE(index->body.starts_with("<!doctype html>"));
    EXPECT_TRUE(index->body.ends_with("</html>\n"));
}

// Every file the page names is carried, may be cached for ever, and is smaller compressed.
TEST(ConsoleAssets, WhatTheIndexNamesIsThere) {
    const std::string_view html = find_asset("/")->body;
    int named = 0;
    for (size_t at = html.find("\"/assets/"); at != html.npos; at = html.find("\"/assets/", at + 1)) {
        const std::string_view path = html.substr(at + 1, html.find('"', at + 1) - at - 1);
        const Asset* asset = find_asset(path);
        ASSERT_NE(asset, nullptr) << path;
        EXPECT_TRUE(asset->immutable) << path;
        EXPECT_FALSE(asset->body.empty()) << path;
        if (!asset->gzip.empty()) {
            EXPECT_TRUE(asset->gzip.starts_with("\x1f\x8b")) << path;
            EXPECT_LT(asset->gzip.size(), asset->body.size()) << path;
        }
        ++named;
    }
    EXPECT_EQ(named, 4);  // icon, boot script, style, application
}

// The policy forbids inline script and style; a page that had any would be a blank page.
TEST(ConsoleAssets, NothingIsInline) {
    const std::string_view html = find_asset("/")->body;
    EXPECT_EQ(html.find("<style"), html.npos);
    EXPECT_EQ(html.find("style="), html.npos);
    EXPECT_EQ(html.find("http"), html.npos) << "nothing comes from elsewhere";
}

TEST(ConsoleAssets, OtherPathsFindNothing) {
    for (const char* path :
         {"", "index.html", "/assets", "/assets/", "/assets/app.js", "/../index.html", "/zzz", "/INDEX.HTML"}) {
        EXPECT_EQ(find_asset(path), nullptr) << path;
    }
}

TEST(ConsoleAssets, TheTableIsSortedAndTagged) {
    std::string_view before;
    for (const Asset& asset : console_assets()) {
        EXPECT_LT(before, asset.path);
        before = asset.path;
        EXPECT_EQ(asset.etag.size(), 18u);
        EXPECT_THAT(asset.etag, testing::AllOf(testing::StartsWith("\""), testing::EndsWith("\"")));
        EXPECT_EQ(find_asset(asset.path), &asset);
    }
}

// What a browser must load before it can show anything; the budget keeps the console quick on a slow line.
TEST(ConsoleAssets, TheWholeConsoleIsSmall) {
    size_t sum = 0;
    for (const Asset& asset : console_assets()) sum += asset.gzip.empty() ? asset.body.size() : asset.gzip.size();
    EXPECT_LT(sum, 80u * 1024);
}

}  // namespace
}  // namespace waybill::server
