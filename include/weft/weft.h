/* SPDX-License-Identifier: MIT
 * weft.h - the whole library in one include. */
#ifndef WEFT_H
#define WEFT_H

#include <weft/base.h>
#include <weft/channel.h>
#include <weft/group.h>
#include <weft/http_server.h>
#include <weft/inspect.h>
#include <weft/io.h>
#include <weft/load.h>
#include <weft/local.h>
#include <weft/offload.h>
#include <weft/parts.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/serve.h>
#include <weft/signal.h>
#include <weft/size.h>

#endif
