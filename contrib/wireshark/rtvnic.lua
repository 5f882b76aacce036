-- SPDX-License-Identifier: GPL-2.0-or-later
--
-- Wireshark dissector of the real-time trailer of rtvnic.
--
-- The second implementation of docs/specs/rt-trailer.rst, written from that
-- page: README.md tells how to install and use it.
--
-- Ethernet hands over what stands behind the IP packet (eth.trailer), with or
-- without the padding, as its preferences say.  So the trailer is taken from
-- the end, and whether it is one is decided from the whole frame, which is
-- found through the Ethernet layer that was dissected before.
--
-- A frame that has magic and lengths of a trailer but a wrong CRC is shown,
-- with an error, and nothing is concluded from it.  Anything else is left
-- alone.
--
-- Runs with Lua 5.2 (Wireshark 4.0) and 5.4 (4.4), hence the library "bit".
--
-- Threads: none.

local TRAILER_BYTES = 32
local CRC_COVERS_BYTES = 24
local VERSION = 1
local MAGIC = 0x52547631                -- "RTv1"
local NS_PER_S = 1000000000
-- Farther apart than that, in seconds, two times do not fit into 64 bits of ns.
local MAX_APART_S = 9000000000

-- Byte 22, low four bits.
local CLOCK_SYNC, LATE = 0x1, 0x8

-- Offsets in the trailer.
local SENT, DEADLINE, SEQUENCE, SOURCE = 0, 8, 12, 16
local PADDING, VERSION_FLAGS, DSCP, CRC, MAGIC_AT = 20, 22, 23, 24, 28

local rtvnic = Proto("rtvnic", "Real-time trailer")

-- -- What can be filtered -----------------------------------------------------

local CRC_STATUS = { [0] = "Bad", [1] = "Good" }

local field = {
    sent_ns = ProtoField.uint64("rtvnic.sent_ns", "Sent, TAI (ns)"),
    sent = ProtoField.absolute_time("rtvnic.sent", "Sent", base.UTC),
    deadline_ns = ProtoField.uint32("rtvnic.deadline_ns", "Deadline (ns)",
                                    base.DEC, nil, nil,
                                    "Counted from sent; 0 is best effort"),
    sequence = ProtoField.uint32("rtvnic.sequence", "Sequence number"),
    source = ProtoField.uint32("rtvnic.source", "Source", base.HEX),
    padding = ProtoField.uint16("rtvnic.padding", "Padding (bytes)"),
    version = ProtoField.uint8("rtvnic.version", "Version", base.DEC, nil,
                               0xf0),
    flags = ProtoField.uint8("rtvnic.flags", "Flags", base.HEX, nil, 0x0f),
    clock_sync = ProtoField.bool("rtvnic.flags.clock_sync",
                                 "Clock synchronised", 8, nil, 0x01),
    admitted = ProtoField.bool("rtvnic.flags.admitted", "Admitted", 8, nil,
                               0x02),
    dscp_rewritten = ProtoField.bool("rtvnic.flags.dscp_rewritten",
                                     "DSCP rewritten", 8, nil, 0x04),
    late = ProtoField.bool("rtvnic.flags.late", "Late at departure", 8, nil,
                           0x08),
    guest_dscp = ProtoField.uint8("rtvnic.guest_dscp", "DSCP of the guest",
                                  base.DEC, nil, 0x3f),
    crc = ProtoField.uint32("rtvnic.crc", "CRC-32C", base.HEX),
    crc_status = ProtoField.uint8("rtvnic.crc.status", "CRC status", base.DEC,
                                  CRC_STATUS),
    magic = ProtoField.string("rtvnic.magic", "Magic"),
    transit_ns = ProtoField.int64("rtvnic.transit_ns", "Transit (ns)",
                                  base.DEC, nil, nil,
                                  "Time of capture - sent"),
    exceeded_ns = ProtoField.int64("rtvnic.exceeded_ns", "Exceeded (ns)",
                                   base.DEC, nil, nil,
                                   "Time of capture - sent - deadline: missed "
                                   .. "if positive"),
}
local fields = {}
for _, one in pairs(field) do
    fields[#fields + 1] = one
end
rtvnic.fields = fields

local expert_info = {
    missed = ProtoExpert.new("rtvnic.missed", "Deadline missed",
                             expert.group.SEQUENCE, expert.severity.WARN),
    late = ProtoExpert.new("rtvnic.late",
                           "Its deadline had passed when it left its sender",
                           expert.group.SEQUENCE, expert.severity.NOTE),
    skewed = ProtoExpert.new("rtvnic.skewed",
                             "Captured before it was sent: clocks disagree, "
                             .. "or the TAI offset is wrong",
                             expert.group.SEQUENCE, expert.severity.NOTE),
    bad_crc = ProtoExpert.new("rtvnic.bad_crc",
                              "Wrong CRC: receivers leave it in place",
                              expert.group.CHECKSUM, expert.severity.ERROR),
    no_sync = ProtoExpert.new("rtvnic.no_sync",
                              "Clock not synchronised: times can be compared "
                              .. "on the sending host only",
                              expert.group.COMMENTS_GROUP,
                              expert.severity.CHAT),
}
rtvnic.experts = expert_info

rtvnic.prefs.tai_offset_s = Pref.uint(
    "TAI - UTC (s), sender's clock synchronised", 37,
    "Leap seconds between a sender's clock and that of the capture")
rtvnic.prefs.unsync_tai_offset_s = Pref.uint(
    "TAI - UTC (s), sender's clock not synchronised", 0,
    "CLOCK_TAI equals UTC until someone sets the kernel's TAI offset")
rtvnic.prefs.max_skew_us = Pref.uint(
    "Allowed clock skew (us)", 1000,
    "What was sent later than it was captured, by more than this, is skewed")

-- -- CRC-32C ------------------------------------------------------------------

local crc_table = {}
for value = 0, 255 do
    local crc = value
    for _ = 1, 8 do
        local shifted = bit.rshift(crc, 1)
        crc = bit.band(crc, 1) == 1 and bit.bxor(shifted, 0x82f63b78)
            or shifted
    end
    crc_table[value] = crc
end

-- As a signed number of 32 bits, which is what the library "bit" returns.
local function crc32c(bytes)
    local crc = bit.tobit(0xffffffff)
    for i = 0, bytes:len() - 1 do
        local index = bit.band(bit.bxor(crc, bytes:get_index(i)), 0xff)
        crc = bit.bxor(bit.rshift(crc, 8), crc_table[index])
    end
    return bit.bnot(crc)
end

-- -- Is it a trailer? ---------------------------------------------------------

local ETH_BYTES, TAG_BYTES, MAX_TAGS = 14, 4, 2
local ETH_IPV4, ETH_IPV6 = 0x0800, 0x86dd
local IPV4_MIN_BYTES, IPV6_BYTES = 20, 40
local HOP_BY_HOP = 0

local function is_tag(ethertype)
    return ethertype == 0x8100 or ethertype == 0x88a8
end

-- Length of the IPv4 or IPv6 packet as its header gives it, or nil or false.
local function ip_bytes(frame, at, ethertype)
    local left = frame:len() - at
    if ethertype == ETH_IPV4 and left >= IPV4_MIN_BYTES then
        local version = bit.rshift(frame(at, 1):uint(), 4)
        return version == 4 and frame(at + 2, 2):uint()
    elseif ethertype == ETH_IPV6 and left >= IPV6_BYTES then
        local version = bit.rshift(frame(at, 1):uint(), 4)
        local payload = frame(at + 4, 2):uint()
        local jumbogram = payload == 0 and frame(at + 6, 1):uint() == HOP_BY_HOP
        return version == 6 and not jumbogram and IPV6_BYTES + payload
    end
    return nil
end

-- Where the IP packet ends in the frame that begins at @start, or nil or false.
local function end_of_ip(frame, start)
    local at = start + ETH_BYTES
    if at > frame:len() then
        return nil
    end
    local ethertype = frame(at - 2, 2):uint()
    for _ = 1, MAX_TAGS do
        if is_tag(ethertype) and at + TAG_BYTES <= frame:len() then
            at = at + TAG_BYTES
            ethertype = frame(at - 2, 2):uint()
        end
    end
    local bytes = ip_bytes(frame, at, ethertype)
    return bytes and at + bytes
end

local ethernet_layers = Field.new("eth.dst")
local capture_time = Field.new("frame.time_epoch")

-- Whether lengths come out for the frame that this is the end of.  There may be
-- several Ethernet layers, one in a tunnel of the other.
local function lengths_fit(tvb, padding_bytes)
    local frame_end = tvb:offset() + tvb:len()
    for _, layer in ipairs({ ethernet_layers() }) do
        local ip_end = end_of_ip(layer.source, layer.offset)
        if ip_end and ip_end + padding_bytes + TRAILER_BYTES == frame_end then
            return true
        end
    end
    return false
end

-- -- Times --------------------------------------------------------------------

-- Capture - sent, in ns.  A double is exact up to 104 days.
local function transit_ns(captured, sent_s, sent_ns)
    local apart_s = captured.secs - sent_s
    apart_s = math.max(-MAX_APART_S, math.min(MAX_APART_S, apart_s))
    return apart_s * NS_PER_S + (captured.nsecs - sent_ns)
end

local function text_ns(ns)
    local size = math.abs(ns)
    if size >= NS_PER_S then
        return string.format("%.3f s", ns / NS_PER_S)
    elseif size >= 1000000 then
        return string.format("%.3f ms", ns / 1000000)
    end
    return string.format("%.3f us", ns / 1000)
end

local function add_ns(tree, which, ns)
    local item = tree:add(which, Int64.new(ns))
    item:append_text(" = " .. text_ns(ns))
    item:set_generated()
    return item
end

local function show_times(tree, pinfo, trailer, flags)
    local synchronised = bit.band(flags, CLOCK_SYNC) ~= 0
    local tai_offset_s = synchronised and rtvnic.prefs.tai_offset_s or
        rtvnic.prefs.unsync_tai_offset_s
    local sent = trailer(SENT, 8):uint64()
    local sent_s = (sent / NS_PER_S):tonumber() - tai_offset_s
    local sent_ns = (sent % NS_PER_S):tonumber()
    local deadline_ns = trailer(DEADLINE, 4):uint()

    tree:add(field.sent, trailer(SENT, 8), NSTime.new(sent_s, sent_ns))
        :set_generated()
    local transit = transit_ns(capture_time().value, sent_s, sent_ns)
    local item = add_ns(tree, field.transit_ns, transit)
    if -transit > rtvnic.prefs.max_skew_us * 1000 then
        item:add_proto_expert_info(expert_info.skewed)
    end
    if deadline_ns > 0 then
        local exceeded = transit - deadline_ns
        item = add_ns(tree, field.exceeded_ns, exceeded)
        if exceeded > 0 then
            local text = "missed by " .. text_ns(exceeded)
            item:add_proto_expert_info(expert_info.missed)
            tree:append_text(", " .. text)
            pinfo.cols.info:append(" [deadline " .. text .. "]")
        end
    end
    if not synchronised then
        tree:add_proto_expert_info(expert_info.no_sync)
    end
end

-- -- Show ---------------------------------------------------------------------

local function show_fields(tree, trailer)
    local deadline = trailer(DEADLINE, 4)
    local flags = trailer(VERSION_FLAGS, 1)
    tree:add(field.sent_ns, trailer(SENT, 8))
    tree:add(field.deadline_ns, deadline)
        :append_text(deadline:uint() == 0 and " = best effort" or
                     " = " .. text_ns(deadline:uint()))
    tree:add(field.sequence, trailer(SEQUENCE, 4))
    tree:add(field.source, trailer(SOURCE, 4))
    tree:add(field.padding, trailer(PADDING, 2))
    tree:add(field.version, flags)
    local flag_tree = tree:add(field.flags, flags)
    for _, name in ipairs({ "clock_sync", "admitted", "dscp_rewritten",
                            "late" }) do
        flag_tree:add(field[name], flags)
    end
    tree:add(field.guest_dscp, trailer(DSCP, 1))
    return flag_tree
end

local function dissect(tvb, pinfo, root)
    local size = tvb:len()
    if size < TRAILER_BYTES or tvb:reported_len() > size then
        return false
    end
    local trailer = tvb(size - TRAILER_BYTES):tvb()
    if trailer(MAGIC_AT, 4):uint() ~= MAGIC or
            not lengths_fit(tvb, trailer(PADDING, 2):uint()) then
        return false
    end
    local expected = crc32c(trailer(0, CRC_COVERS_BYTES):bytes())
    local intact = expected == bit.tobit(trailer(CRC, 4):uint())
    local version_flags = trailer(VERSION_FLAGS, 1):uint()
    if intact and bit.rshift(version_flags, 4) ~= VERSION then
        return false
    end

    local tree = root:add(rtvnic, trailer())
    local flag_tree = show_fields(tree, trailer)
    local crc = tree:add(field.crc, trailer(CRC, 4))
    tree:add(field.crc_status, trailer(CRC, 4), intact and 1 or 0)
        :set_generated()
    tree:add(field.magic, trailer(MAGIC_AT, 4))
    if not intact then
        crc:append_text(", should be 0x" .. bit.tohex(expected))
        crc:add_proto_expert_info(expert_info.bad_crc)
        tree:append_text(", wrong CRC")
        return true
    end
    if bit.band(version_flags, LATE) ~= 0 then
        flag_tree:add_proto_expert_info(expert_info.late)
    end
    show_times(tree, pinfo, trailer, version_flags)
    return true
end

rtvnic:register_heuristic("eth.trailer", dissect)
