-- Sends the requests of a file again and again and prints what happened as one line of JSON. In their order, or,
-- with BITGATE_BENCH_SKEWED, by chance, so that a fifth of them gets four fifths of the load.
-- Each thread of wrk has a copy of this.

local requests, next_one = {}, 0
local skewed = os.getenv("BITGATE_BENCH_SKEWED")

-- The file: decimal length, line feed, that many bytes, and so on.
local function read(path)
  local file = assert(io.open(path, "rb"))
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  file:close()
end

function init()
  read(assert(os.getenv("BITGATE_BENCH_REQUESTS")))
end

function request()
  if skewed then
    -- A share x of them gets x^(1/7.2) of the load.
    return requests[math.floor(#requests * math.random() ^ 7.2) + 1]
  end
  next_one = next_one % #requests + 1
  return requests[next_one]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'result {"requests":%d,"microseconds":%d,"not_below_400":%d,"broken":%d,"p50":%d,"p99":%d,"max":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
