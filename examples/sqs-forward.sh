#!/usr/bin/env bash
# Carries events from a real SQS queue to Waybill, for networks that EventBridge cannot reach: QUEUE_URL=… sqs-forward.sh
# A message is deleted only after Waybill has it on disk; one that comes twice is counted as a duplicate. A batch with an event that Waybill
# refuses is not deleted: give the queue a redrive policy, and it ends in the dead-letter queue.
# Needs aws (with credentials for sqs:ReceiveMessage and sqs:DeleteMessage) and waybill; WAYBILL_URL and WAYBILL_TOKEN say where to.
# ROUNDS=N ends after N batches; without it the loop runs until it is stopped. A failed round ends the script: let systemd restart it.
set -euo pipefail
: "${QUEUE_URL:?the URL of the queue}"
rounds=${ROUNDS:--1}
while [ "$rounds" -ne 0 ]; do
    rounds=$((rounds - 1))
    # One line a message: receipt handle, tab, body. EventBridge writes an event on one line.
    batch=$(aws sqs receive-message --queue-url "$QUEUE_URL" --max-number-of-messages 10 --wait-time-seconds 20 \
        --query 'Messages[].[ReceiptHandle, Body]' --output text)
    if [ -z "$batch" ] || [ "$batch" = None ]; then continue; fi
    cut -f2- <<<"$batch" | waybill put --content-type application/x-ndjson -
    entries=$(cut -f1 <<<"$batch" | awk '{printf "%s{\"Id\":\"%d\",\"ReceiptHandle\":\"%s\"}", (NR > 1 ? "," : ""), NR, $0}')
    aws sqs delete-message-batch --queue-url "$QUEUE_URL" --entries "[$entries]" >/dev/null
done
