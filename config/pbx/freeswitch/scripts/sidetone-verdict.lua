-- A verdict has come: write the speaker decision on the caller's channel, and send a caller whose voice is rejected to
-- step-up authentication. Copy to the scripts folder; lua.conf.xml runs it, with the event in `event`.
--
-- Not needed where sidetone does it itself, by actions of its policy and the event socket: that way is bounded, tried
-- again and counted. This one needs no event socket, or is where your own logic goes.

local body = event:getBody() or ""
-- Another INFO is none of ours.
if not body:find('"kind":"speaker"', 1, true) then return end

local decision = body:match('"decision":"(%a+)"')
-- The taps of the dialplan call a conversation by the caller's channel. Nothing but hex digits and dashes goes into a
-- command.
local channel = body:match('"conversation":"([%x-]+)"')
if not decision or not channel or #channel ~= 36 then return end

local api = freeswitch.API()
local function run(command, arguments)
  return (api:executeString(command .. " " .. arguments) or ""):gsub("%s+$", "")
end

if run("uuid_exists", channel) ~= "true" then return end
-- A verdict may come twice, and by two ways.
if run("uuid_getvar", channel .. " sidetone_speaker") == decision then return end
run("uuid_setvar", channel .. " sidetone_speaker " .. decision)

if decision == "rejected" or decision == "changed" then
  freeswitch.consoleLog("notice", "sidetone: " .. channel .. " is " .. decision .. ", to step-up\n")
  run("uuid_transfer", channel .. " verify XML sidetone-step-up")
end
