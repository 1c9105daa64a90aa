/* SPDX-License-Identifier: MIT
 * weft.h - the whole library in one include. */
#ifndef WEFT_H
#define WEFT_H

#include <weft/background.h>
#include <weft/base.h>
#include <weft/breaker.h>
#include <weft/bulkhead.h>
#include <weft/cache.h>
#include <weft/channel.h>
#include <weft/debounce.h>
#include <weft/fallback.h>
#include <weft/file.h>
#include <weft/flight.h>
#include <weft/group.h>
#include <weft/hedge.h>
#include <weft/http_client.h>
#include <weft/http_server.h>
#include <weft/inspect.h>
#include <weft/io.h>
#include <weft/keyed_limiter.h>
#include <weft/limiter.h>
#include <weft/load.h>
#include <weft/local.h>
#include <weft/map.h>
#include <weft/metrics.h>
#include <weft/metrics_flow.h>
#include <weft/monitor.h>
#include <weft/net.h>
#include <weft/offload.h>
#include <weft/parts.h>
#include <weft/pipeline.h>
#include <weft/policy.h>
#include <weft/pool.h>
#include <weft/process.h>
#include <weft/pubsub.h>
#include <weft/queue.h>
#include <weft/retry.h>
#include <weft/retry_after.h>
#include <weft/retry_budget.h>
#include <weft/runtime.h>
#include <weft/schedule.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/serve.h>
#include <weft/shutdown.h>
#include <weft/signal.h>
#include <weft/size.h>
#include <weft/stream.h>
#include <weft/sync.h>
#include <weft/task.h>
#include <weft/throttle.h>
#include <weft/timing.h>
#include <weft/work.h>

#endif
