-- One kind of request for wrk, chosen by LOAD_KIND; benches/load.sh sets the variables and reads the RESULT line.

local kind = os.getenv("LOAD_KIND")

local function words(variable)
  local list = {}
  for word in (os.getenv(variable) or ""):gmatch("%S+") do
    list[#list + 1] = word
  end
  return list
end

-- Runs in wrk's main environment: tells each thread its number, so that ids differ between threads.
local threads = 0
function setup(thread)
  threads = threads + 1
  thread:set("thread_number", threads)
end

local made = 0
local developers, id_prefix

local function event()
  made = made + 1
  return string.format('{"id":"%s%d","developer_id":"%s","calls":1}',
    id_prefix, made, developers[made % #developers + 1])
end

local function post(path, body)
  return wrk.format("POST", path, nil, body)
end

local kinds = {}

function kinds.healthz()
  wrk.path = "/healthz"
end

function kinds.stats()
  wrk.path = "/v1/developers/referral-stats"
  wrk.headers["Authorization"] = "Bearer " .. words("LOAD_KEYS")[1]
end

local function as_gateway()
  wrk.headers["Authorization"] = "Bearer " .. os.getenv("LOAD_GATEWAY_KEY")
  wrk.headers["Content-Type"] = "application/json"
end

function kinds.verify()
  as_gateway()
  -- Few different requests: made once, then sent in turn.
  local requests = {}
  for i, key in ipairs(words("LOAD_KEYS")) do
    requests[i] = post("/v1/keys/verify", string.format('{"api_key":"%s"}', key))
  end
  request = function()
    made = made + 1
    return requests[made % #requests + 1]
  end
end

function kinds.usage()
  as_gateway()
  request = function()
    return post("/v1/usage", event())
  end
end

function kinds.usage_batch()
  as_gateway()
  local size = tonumber(os.getenv("LOAD_BATCH"))
  local events = {}
  request = function()
    for i = 1, size do
      events[i] = event()
    end
    return post("/v1/usage", '{"events":[' .. table.concat(events, ",") .. "]}")
  end
end

function init()
  developers = words("LOAD_DEVELOPERS")
  id_prefix = string.format("%s-%d-", os.getenv("LOAD_RUN"), thread_number)
  kinds[kind]()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT requests=%d seconds=%.3f p50_ms=%.2f p99_ms=%.2f non_2xx=%d socket=%d\n",
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
