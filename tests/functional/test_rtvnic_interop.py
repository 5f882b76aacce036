#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""rtvnic and NICs that know nothing of it: neither harms the other.

One guest has an rtvnic on each link, the other a NIC of another model.

Threads: none.
"""

import os

import rtguest
from rtguest import frames, traffic

MODELS = ('virtio-net-pci', 'e1000')


class RtvnicInterop(rtguest.GuestTest):
    @classmethod
    def setUpClass(cls):
        cls.macs, cls.ips, cls.names = {}, {}, {}
        rt_args, plain_args = [], []
        for number, model in enumerate(MODELS):
            link, net = cls.class_link(), f'n{number}'
            cls.macs[model] = tuple(f'52:54:00:01:{number:02x}:{side:02x}'
                                    for side in (1, 2))
            cls.ips[model] = f'10.1.{number}.1', f'10.1.{number}.2'
            rt_args += [link.server(net), '-device',
                        f'rtvnic,id={model},netdev={net},dscp=46,'
                        f'deadline-us=500000,mac={cls.macs[model][0]}']
            plain_args += [link.client(net), '-device',
                           f'{model},netdev={net},mac={cls.macs[model][1]}']
        cls.rt = cls.class_boot('rt', *rt_args)
        cls.plain = cls.class_boot('plain', *plain_args)
        rtguest.wait_ready(cls.rt, cls.plain)
        for model in MODELS:
            cls.names[model] = tuple(
                guest.ifup(cls.macs[model][side], f'{cls.ips[model][side]}/24')
                for side, guest in enumerate((cls.rt, cls.plain)))

    def raw(self, model, sender, receiver, frame, mark):
        """Send one frame; what arrived is found by bytes that it holds."""
        to = 1 if receiver is self.plain else 0
        watch = receiver.start(
            f'rtprobe raw-recv --dev {self.names[model][to]} --offset '
            f'{frame.index(mark)} --match {mark.hex()} --timeout-ms 20000')
        watch.wait_output('ready')
        sender.run(f'rtprobe raw-send --dev {self.names[model][1 - to]}',
                   stdin=frame.hex() + '\n')
        return bytes.fromhex(watch.wait().out.splitlines()[1])

    def test_traffic(self):
        for model in MODELS:
            with self.subTest(model=model):
                rt_ip, plain_ip = self.ips[model]
                before = self.rt.rtnet_port(model)['counters']
                for size_bytes in (0, 56, 1440):
                    traffic.ping(self.rt, plain_ip, size_bytes=size_bytes)
                    traffic.ping(self.plain, rt_ip, size_bytes=size_bytes)
                traffic.udp(self.rt, self.plain, plain_ip)
                traffic.udp(self.plain, self.rt, rt_ip, payload_bytes=16)
                traffic.tcp(self.rt, self.plain, plain_ip)
                traffic.tcp(self.plain, self.rt, rt_ip)
                port = self.rt.rtnet_port(model)
                self.assertEqual(port['counters']['trailers'], 0)
                self.assertEqual(port['counters']['rejected'],
                                 before['rejected'])
                self.assertEqual(set(port['drops'].values()), {0})
                self.assertEqual(port['transit-delay']['count'], 0)

    def test_plain_sees_the_mark(self):
        """And behind IP, where nobody looks, the trailer."""
        for model in MODELS:
            for length in (4, 700, 1440):
                with self.subTest(model=model, length=length):
                    payload = os.urandom(length)
                    sent = frames.udp(self.macs[model], self.ips[model],
                                      payload, dscp=10, ecn=1)
                    got = self.raw(model, self.rt, self.plain, sent, payload)
                    seen = frames.parse(got)
                    self.assertEqual((seen.dscp, seen.ecn, seen.payload),
                                     (frames.DSCP_EF, 1, payload))
                    self.assertEqual(frames.trailer(got).guest_dscp, 10)

    def test_plain_frames_come_untouched(self):
        for model in MODELS:
            for length in (32, 700, 1472):
                with self.subTest(model=model, length=length):
                    payload = os.urandom(length)
                    sent = frames.udp(self.macs[model][::-1],
                                      self.ips[model][::-1], payload,
                                      dscp=10, ecn=2)
                    self.assertEqual(self.raw(model, self.plain, self.rt, sent,
                                              payload), sent)

    def test_payload_that_ends_like_a_trailer(self):
        """Of a sender that writes none: it is payload, and counted."""
        for model in MODELS:
            with self.subTest(model=model):
                payload = os.urandom(100)
                real = self.raw(
                    model, self.rt, self.plain,
                    frames.udp(self.macs[model], self.ips[model], payload),
                    payload)[-frames.TRAILER_BYTES:]
                before = self.rt.rtnet_port(model)['counters']
                sent = frames.udp(self.macs[model][::-1],
                                  self.ips[model][::-1], payload + real)
                self.assertEqual(self.raw(model, self.plain, self.rt, sent,
                                          payload), sent)
                after = self.rt.rtnet_port(model)['counters']
                self.assertEqual(after['rejected'] - before['rejected'], 1)
                self.assertEqual(after['trailers'], before['trailers'])


if __name__ == '__main__':
    rtguest.main()
