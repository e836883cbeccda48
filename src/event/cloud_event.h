// CloudEvents 1.0.2 (cloudevents/spec): turned into an EventBridge envelope, so that everything behind the door sees one shape.
//
//   id → id      time → time (absent: the time of arrival)      data → detail (must be a JSON object)
//   type → detail-type; com.amazonaws.codepipeline.{pipeline|stage|action}[.STATE] means CodePipeline's type of that name
//   source → source; a pipeline's ARN, and /aws.codepipeline/ACCOUNT/REGION/PIPELINE, mean aws.codepipeline with that account and region
//   account, region extension attributes → account, region (absent: the node's own)      subject → resources (CodePipeline: the ARN)
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.h"
#include "event/envelope.h"

namespace waybill {

struct CloudDefaults {
    std::string account, region;
    TimeMs now = 0;
};

// Structured mode: one CloudEvent as JSON. The envelope's own rules are checked afterwards, by EnvelopeReader.
std::variant<std::string, FieldError> from_structured(std::string_view json, const CloudDefaults& defaults);

// Binary mode: `attributes` are the ce-… headers without "ce-", in any case, percent-decoded here; the body is the data, of `content_type`.
std::variant<std::string, FieldError> from_binary(const std::vector<std::pair<std::string, std::string>>& attributes, std::string_view content_type,
                                                  std::string_view body, const CloudDefaults& defaults);

}  // namespace waybill
