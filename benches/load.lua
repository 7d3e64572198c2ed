-- One kind of request for wrk, chosen by LOAD_KIND. benches/lib.sh sets the variables and reads the RESULT line.
-- Bodies are put together from parts of fixed length, so that headers are made once and a request is one concatenation.

local kind = os.getenv("LOAD_KIND")

-- Runs in wrk's main environment: tells each thread its number, so that ids differ between threads.
local threads = 0
function setup(thread)
  threads = threads + 1
  thread:set("thread_number", threads)
end

-- What `limits seed` wrote.
local gateway_key, code
local developers, keys = {}, {}

local function read_list()
  local most = tonumber(os.getenv("LOAD_DEVELOPERS"))
  for line in io.lines(os.getenv("LOAD_LIST")) do
    local name, value = line:match("^(%S+) (%S+)$")
    if name == "gateway" then
      gateway_key = value
    elseif name == "code" then
      code = value
    elseif #keys < most then
      keys[#keys + 1] = value
      developers[#developers + 1] = name
    end
  end
end

-- Everything of a request up to its body, for bodies that are all as long as `sample`.
local function head(path, key, sample)
  local lines = {
    "POST " .. path .. " HTTP/1.1",
    "Host: " .. wrk.host,
    "Content-Type: application/json",
    "Content-Length: " .. #sample,
  }
  if key then
    lines[#lines + 1] = "Authorization: Bearer " .. key
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- Ten digits; each thread starts with another developer.
local number = 1000000000
local place = 0

local function next_place()
  place = place % #keys + 1
  return place
end

local function id_start()
  return '{"id":"' .. os.getenv("LOAD_RUN") .. "-" .. thread_number .. "-"
end

local kinds = {}

function kinds.usage()
  local middle, ends = id_start(), {}
  for i, developer in ipairs(developers) do
    ends[i] = '","developer_id":"' .. developer .. '","calls":1}'
  end
  local start = head("/v1/usage", gateway_key, middle .. number .. ends[1]) .. middle
  return function()
    number = number + 1
    return start .. number .. ends[next_place()]
  end
end

function kinds.batch()
  local size = tonumber(os.getenv("LOAD_BATCH"))
  local middle, ends, events = id_start(), {}, {}
  for i, developer in ipairs(developers) do
    ends[i] = '","developer_id":"' .. developer .. '","calls":1}'
  end
  for i = 1, size do
    events[i] = middle .. number .. ends[1]
  end
  local function body()
    return '{"events":[' .. table.concat(events, ",") .. "]}"
  end
  local start = head("/v1/usage", gateway_key, body())
  return function()
    for i = 1, size do
      number = number + 1
      events[i] = middle .. number .. ends[next_place()]
    end
    return start .. body()
  end
end

function kinds.verify()
  local function body(key)
    return '{"api_key":"' .. key .. '"}'
  end
  local start = head("/v1/keys/verify", gateway_key, body(keys[1])) .. '{"api_key":"'
  return function()
    return start .. keys[next_place()] .. '"}'
  end
end

function kinds.stats()
  local start = "GET /v1/developers/referral-stats HTTP/1.1\r\nHost: " .. wrk.host .. "\r\nAuthorization: Bearer "
  return function()
    return start .. keys[next_place()] .. "\r\n\r\n"
  end
end

function kinds.code()
  local whole = "GET /signup?ref=" .. code .. " HTTP/1.1\r\nHost: " .. wrk.host .. "\r\n\r\n"
  return function()
    return whole
  end
end

function kinds.signup()
  local middle = '{"name":"Load","password":"only for this run","referral_code":"' .. code .. '","email":"load@'
    .. os.getenv("LOAD_RUN") .. "-" .. thread_number .. "-"
  local start = head("/v1/developers/signup", nil, middle .. number .. '.example"}') .. middle
  return function()
    number = number + 1
    return start .. number .. '.example"}'
  end
end

-- Half of the requests are key checks, half statistics.
function kinds.read()
  local verify, stats, turn = kinds.verify(), kinds.stats(), false
  return function()
    turn = not turn
    if turn then
      return verify()
    end
    return stats()
  end
end

function init()
  read_list()
  place = math.floor(#keys * (thread_number - 1) / 2)
  request = kinds[kind]()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.3f,"p50_ms":%.3f,"p99_ms":%.3f,"p999_ms":%.3f,"non_2xx":%d,"socket":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
