-- Posts one body again and again with wrk, and says what came of it as a line of JSON.
--
-- LOAD_BODY: file with the body. LOAD_AUTHORIZATION: value of that header.
-- LOAD_WINDOW: look at every answer. This costs some microseconds for each, so it is for batches only.
local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds, nanoseconds; } instant; int clock_gettime(int clock, instant *now);")
local CLOCK_MONOTONIC = 1
local instant = ffi.new("instant")

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = os.getenv("LOAD_AUTHORIZATION")
wrk.body = assert(io.open(os.getenv("LOAD_BODY"), "rb")):read("*a")

local worker
function setup(thread)
    worker = thread
end

-- The run is cut off in the middle of the requests that are then in flight, which counts when a request takes long. So
-- the time is taken from answer to answer, and the first on each connection, where the queue still fills, is left out.
count, failed, began, ended = 0, 0, 0, 0
local left_out = tonumber(os.getenv("LOAD_WINDOW"))
if left_out then
    function response(_, _, body)
        ffi.C.clock_gettime(CLOCK_MONOTONIC, instant)
        ended = tonumber(instant.seconds) + tonumber(instant.nanoseconds) / 1e9
        count = count + 1
        if count == left_out then
            began = ended
        end
        if string.find(body, '"error"', 1, true) then
            failed = failed + 1
        end
    end
end

function done(summary, latency)
    local errors = summary.errors
    local seconds, counted = summary.duration / 1e6, summary.requests
    if left_out and worker:get("count") > left_out then
        seconds, counted = worker:get("ended") - worker:get("began"), worker:get("count") - left_out
    end
    io.write(string.format(
        '{"requests": %d, "bytes": %d, "failed": %d, "counted": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "cpu": %.6f}\n',
        summary.requests, summary.bytes,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout
            + worker:get("failed"),
        counted, seconds, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, os.clock()))
end
