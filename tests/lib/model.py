"""What Waybill must make of CodePipeline events, written a second time and as plainly as possible.

    execution(events)            the execution that a set of events describes, in the API's words; order and repetition do not matter
    notices(events)              the messages that events cause in the order in which they arrived

Both take envelopes as dicts. `notices` holds where a pipeline has one execution: then nothing hangs on other executions.
"""
RANK = {word: rank for rank, word in enumerate(
    ["STARTED", "RESUMED", "STOPPING", "SUCCEEDED", "SUPERSEDED", "CANCELED", "ABANDONED", "STOPPED", "FAILED"])}
WORD = {"STARTED": "InProgress", "RESUMED": "InProgress", "STOPPING": "Stopping", "SUCCEEDED": "Succeeded", "SUPERSEDED": "Superseded",
        "CANCELED": "Cancelled", "ABANDONED": "Abandoned", "STOPPED": "Stopped", "FAILED": "Failed"}


def scope(event):
    return event["detail-type"].split(" ")[1].lower()


def rank(event):
    return max(1, int(event["detail"]["pipeline-execution-attempt"])), RANK[event["detail"]["state"]]


def ends(state):
    return RANK[state] >= RANK["SUCCEEDED"]


def moment(text):
    """Times of both resolutions as the API writes them."""
    return text if text is None or "." in text else text.replace("Z", ".000Z")


def time_of(event):
    return moment(event["time"])


def earliest(times):
    return min((moment(t) for t in times if t), default=None)


def latest(times):
    return max((moment(t) for t in times if t), default=None)


def began(events):
    return earliest([time_of(e) for e in events] + [e["detail"].get("start-time") for e in events])


def progress(own, everything, retry_key):
    """Status, attempt and times of a pipeline or stage: the greatest (attempt, state) of its own events wins."""
    if not own:
        return {"status": "InProgress", "attempt": max(rank(e)[0] for e in everything), "startTime": None, "endTime": None, "lastRetryTime": None}
    top = max(map(rank, own))
    last = [e for e in own if rank(e) == top]
    state = last[0]["detail"]["state"]
    return {"status": WORD[state], "attempt": top[0], "startTime": earliest(e["detail"].get("start-time") for e in own),
            "endTime": latest(map(time_of, last)) if ends(state) else None, "lastRetryTime": latest(e["detail"].get(retry_key) for e in own)}


def action(events):
    state = max((e["detail"]["state"] for e in events), key=RANK.get)
    last = [e for e in events if e["detail"]["state"] == state]
    told = max((e for e in events), key=lambda e: (bool(e["detail"].get("execution-result")), RANK[e["detail"]["state"]], e["time"]))["detail"]
    result = told.get("execution-result") or {}
    return {"actionName": told["action"], "actionExecutionId": told["action-execution-id"], "status": WORD[state], "attempt": max(rank(e)[0] for e in events),
            "startTime": earliest(e["detail"].get("start-time") for e in events), "lastUpdateTime": latest(map(time_of, events)),
            "endTime": latest(map(time_of, last)) if ends(state) else None, "category": told["type"]["category"], "region": told["region"],
            "externalExecutionId": result.get("external-execution-id"), "externalExecutionSummary": result.get("external-execution-summary"),
            "externalExecutionUrl": result.get("external-execution-url"), "errorCode": result.get("error-code")}


def execution(events):
    own = [e for e in events if scope(e) == "pipeline"]
    stages = []
    for name in {e["detail"]["stage"] for e in events if scope(e) != "pipeline"}:
        of = [e for e in events if e["detail"].get("stage") == name]
        stage_events = [e for e in of if scope(e) == "stage"]
        ids = {e["detail"]["action-execution-id"] for e in of if scope(e) == "action"}
        actions = [[e for e in of if e["detail"].get("action-execution-id") == i] for i in ids]
        actions.sort(key=lambda a: (earliest(e["detail"].get("start-time") for e in a) or began(a), rank(a[0])[0], a[0]["detail"]["action"], a[0]["detail"]["action-execution-id"]))
        stage = {"stageName": name, **progress(stage_events, of, "stage-last-retry-attempt-time"), "lastUpdateTime": latest(map(time_of, stage_events)),
                 "actions": [action(a) for a in actions]}
        stages.append(((stage["startTime"] or began(of), name), stage))
    whole = progress(own, events, "last-retry-attempt-time")
    whole["startTime"] = whole["startTime"] or began(events)   # by which executions are ordered, so it is never unknown
    return {"pipeline": events[0]["detail"]["pipeline"], "executionId": events[0]["detail"]["execution-id"], "account": events[0]["account"],
            "region": events[0]["region"], **whole, "lastUpdateTime": latest(map(time_of, events)),
            "stages": [stage for _, stage in sorted(stages, key=lambda s: s[0])]}


def shown_alike(model, answer):
    """What of the API's answer the model speaks of."""
    if isinstance(model, dict):
        return {key: shown_alike(value, answer.get(key)) for key, value in model.items()}
    if isinstance(model, list) and len(model) == len(answer):
        return [shown_alike(m, a) for m, a in zip(model, answer)]
    return answer


def notices(arrived):
    """{(topic, stage or None, attempt)} of one execution, alone in its pipeline, from its events as they arrived."""
    at, seen, told = {}, set(), set()
    succeeded = failure_told = success_told = False
    for event in arrived:
        stage, state, (attempt, place) = event["detail"].get("stage"), event["detail"]["state"], rank(event)
        if scope(event) == "action":
            continue
        new = (stage, attempt, state) not in seen and (attempt, place) > at.get(stage, (0, 0))
        seen.add((stage, attempt, state))
        at[stage] = max((attempt, place), at.get(stage, (0, 0)))
        if scope(event) == "stage":
            if new and state == "FAILED" and not succeeded:
                told.add(("stage_failed", stage, attempt))
            continue
        succeeded |= state == "SUCCEEDED"
        if new and state == "FAILED" and not succeeded and not failure_told:
            failure_told = True
            told.add(("pipeline_failed", None, attempt))
        if new and state == "SUCCEEDED" and not success_told:
            success_told = True
            told.add(("pipeline_succeeded", None, attempt))
    return told
