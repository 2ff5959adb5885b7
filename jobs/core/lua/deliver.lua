-- A job's end stands in Redis: start a delivery to each of its webhooks.
-- ARGV: prefix, tenant, id, how it ended (the client's word), when (ISO), now (seconds).
--@include webhooks.lua
start_deliveries(unpack(ARGV))
