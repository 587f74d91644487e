-- wrk sends the bytes of the file named by its first argument, as they are, and prints one line of JSON at the end.
-- A file that holds several requests is sent as one pipelined batch: wrk counts them itself.

local raw

function init(args)
   local file = assert(io.open(args[1], "rb"))
   raw = file:read("*a")
   file:close()
end

function request()
   return raw
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "duration_us": %d, "p50_us": %.1f, "p99_us": %.1f, "connect": %d, "read": %d, ' ..
      '"write": %d, "timeout": %d, "status": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
