#include "notify/templates.h"

#include "base/assert.h"

namespace waybill::notify {
namespace {

// English subjects are for a phone: the state first, then where. The Korean ones are fixed words, and leave the rest to the body.
constexpr Template english[] = {
    {"subject_pipeline", "[Waybill] {state}: pipeline {pipeline}"},
    {"subject_pipeline_at", "[Waybill] {state}: pipeline {pipeline} at {where}"},
    {"subject_recovery", "[Waybill] {state}: pipeline {pipeline} has recovered"},
    {"subject_stage", "[Waybill] {state}: stage {stage} of {pipeline}"},
    {"subject_stage_at", "[Waybill] {state}: stage {stage} of {pipeline} at {where}"},
    {"pipeline", "Pipeline {pipeline} is now {state}."},
    {"stage", "Stage {stage} of pipeline {pipeline} is now {state}."},
    {"recovery", "It had been failing since {time}; executions that failed: {count}."},
    {"failed_action", "Failed: stage {stage}, action {action} (attempt {attempt})"},
    {"failed_stage", "Failed: stage {stage} (attempt {attempt})"},
    {"also_failed", "Failed too: {names}"},
    {"why", "Why: {reason}"},
    {"since", "Since: {time}"},
    {"incident", "Failing since {time}; executions that failed so far: {count} ({incident})"},
    {"retry", "The stage is retried automatically at {time}."},
    {"now", "The execution has gone on since then; it is now {state}."},
    {"execution", "Execution: {execution} (attempt {attempt})"},
    {"started", "Started: {time}"},
    {"started_took", "Started: {time}, took {duration}"},
    {"trigger", "Trigger: {trigger}"},
    {"commit", "Commit: {commit}"},
    {"branch", "Branch: {branch}"},
    {"author", "Author: {author}"},
    {"account", "Account: {account}, {region}"},
    {"link_console", "In Waybill: {url}"},
    {"link_external", "Where it ran: {url}"},
    {"link_commit", "The change: {url}"},
};

constexpr Template korean[] = {
    {"subject_pipeline", "파이프라인 상태 변경: {state}"},
    {"subject_pipeline_at", "파이프라인 상태 변경: {state}"},
    {"subject_recovery", "파이프라인 상태 변경: {state}"},
    {"subject_stage", "스테이지 상태 변경: {state}"},
    {"subject_stage_at", "스테이지 상태 변경: {state}"},
    {"pipeline", "파이프라인 {pipeline}가 {state} 상태가 되었습니다."},
    {"stage", "파이프라인 {pipeline}의 {stage} 스테이지가 {state} 상태가 되었습니다."},
    {"recovery", "{time}부터 이어진 실패에서 복구되었습니다. 실패한 실행: {count}건"},
    {"failed_action", "실패한 곳: {stage} 스테이지, {action} 액션 ({attempt}번째 시도)"},
    {"failed_stage", "실패한 곳: {stage} 스테이지 ({attempt}번째 시도)"},
    {"also_failed", "함께 실패한 액션: {names}"},
    {"why", "원인: {reason}"},
    {"since", "발생 시각: {time}"},
    {"incident", "{time}부터 실패 중입니다. 지금까지 실패한 실행: {count}건 ({incident})"},
    {"retry", "{time}에 스테이지를 자동으로 재시도합니다."},
    {"now", "그 뒤로 실행이 더 진행되어 지금은 {state} 상태입니다."},
    {"execution", "실행: {execution} ({attempt}번째 시도)"},
    {"started", "시작: {time}"},
    {"started_took", "시작: {time}, 소요 시간 {duration}"},
    {"trigger", "트리거: {trigger}"},
    {"commit", "커밋: {commit}"},
    {"branch", "브랜치: {branch}"},
    {"author", "작성자: {author}"},
    {"account", "계정: {account}, {region}"},
    {"link_console", "Waybill에서 보기: {url}"},
    {"link_external", "실행된 곳: {url}"},
    {"link_commit", "변경 내용: {url}"},
};

}  // namespace

std::span<const Template> templates(Locale locale) {
    switch (locale) {
        case Locale::en: return english;
        case Locale::ko: return korean;
    }
    ASSERT(false);
}

std::string fill(Locale locale, std::string_view name, std::initializer_list<std::pair<std::string_view, std::string_view>> values) {
    std::string_view text;
    for (const auto& t : templates(locale))
        if (t.name == name) text = t.text;
    ASSERT(!text.empty());
    std::string out;
    while (!text.empty()) {
        const auto open = text.find('{');
        out += text.substr(0, open);
        if (open == text.npos) break;
        const auto close = text.find('}', open);
        ASSERT(close != text.npos);
        const auto placeholder = text.substr(open + 1, close - open - 1);
        bool known = false;
        for (const auto& [key, value] : values) {
            if (key != placeholder) continue;
            out += value;
            known = true;
        }
        ASSERT(known);
        text.remove_prefix(close + 1);
    }
    return out;
}

}  // namespace waybill::notify
