/* SPDX-License-Identifier: MIT
 * weft.h - the whole library in one include. */
#ifndef WEFT_H
#define WEFT_H

#include <weft/background.h>
#include <weft/base.h>
#include <weft/bulkhead.h>
#include <weft/channel.h>
#include <weft/file.h>
#include <weft/group.h>
#include <weft/http_server.h>
#include <weft/inspect.h>
#include <weft/io.h>
#include <weft/keyed_limiter.h>
#include <weft/limiter.h>
#include <weft/load.h>
#include <weft/local.h>
#include <weft/net.h>
#include <weft/offload.h>
#include <weft/parts.h>
#include <weft/process.h>
#include <weft/queue.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/serve.h>
#include <weft/signal.h>
#include <weft/size.h>
#include <weft/stream.h>
#include <weft/sync.h>

#endif
