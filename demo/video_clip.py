# SPDX-License-Identifier: GPL-2.0-or-later
"""The film: made, packed for the guest, and decoded, all of it by ffmpeg.

A zoom into a fractal, hard to compress, with the time in large digits.  Each
slice fits into one RTP packet, so that a lost packet costs a part of a
picture; the size of a picture is bounded, and with it the burst of packets
that ffmpeg sends for it.

Threads: none.
"""

import os
import shutil
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'tests', 'functional', 'guest'))

from cpio import Cpio                                   # noqa: E402
import rtguest                                          # noqa: E402

DURATION_S = 10
FRAMES_PER_S = 25
FRAMES = DURATION_S * FRAMES_PER_S
WIDTH, HEIGHT = 640, 360
BIT_RATE_BPS = 1_500_000
# The coder's buffer bounds the size of one frame.
BUFFER_BITS = 200_000
SLICE_BYTES = 1300
PICTURE_BYTES = WIDTH * HEIGHT * 3

RTP_CLOCK_HZ = 90_000
RTP_TICKS_PER_FRAME = RTP_CLOCK_HZ // FRAMES_PER_S

GUEST_CLIP = '/clip.ts'


class FfmpegError(Exception):
    """ffmpeg is missing or failed; the text says what to do."""


def _ffmpeg(*args):
    return ['ffmpeg', '-nostdin', '-hide_banner', '-loglevel', 'error', '-y',
            *args]


def _run(*args):
    try:
        return subprocess.run(_ffmpeg(*args), check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True).stdout
    except subprocess.CalledProcessError as e:
        raise FfmpegError(f'"{" ".join(e.cmd)}" failed:\n{e.stderr}') from None


def check_ffmpeg():
    if not shutil.which('ffmpeg'):
        raise FfmpegError('ffmpeg is missing: install it (Debian: ffmpeg), or '
                          'run ./configure --install-deps')
    if 'libx264' not in _run('-encoders'):
        raise FfmpegError('this ffmpeg cannot code H.264: it was built without '
                          'libx264.  Install a complete one (Debian: ffmpeg)')


# -- Make and pack ------------------------------------------------------------

def make(directory):
    """The film as an MPEG transport stream; its path."""
    path = os.path.join(directory, 'clip.ts')
    size = f'size={WIDTH}x{HEIGHT}:rate={FRAMES_PER_S}'
    source = (f'mandelbrot={size}:maxiter=400:start_scale=1.5:end_scale=0.002:'
              f'end_pts={FRAMES}[zoom];'
              # The part of the test picture that has the digits.
              f'testsrc={size}:decimals=2,crop=192:104:384:128[digits];'
              f'[zoom][digits]overlay=16:{HEIGHT - 120}')
    _run('-f', 'lavfi', '-i', source, '-t', str(DURATION_S),
         '-pix_fmt', 'yuv420p', '-c:v', 'libx264', '-preset', 'fast',
         '-tune', 'zerolatency', '-g', str(FRAMES_PER_S),
         '-b:v', str(BIT_RATE_BPS), '-maxrate', str(BIT_RATE_BPS),
         '-bufsize', str(BUFFER_BITS),
         '-x264-params', f'slice-max-size={SLICE_BYTES}', '-f', 'mpegts', path)
    return path


def guest_initrd(clip, directory):
    """What the sending guest boots: the test image, ffmpeg, the film."""
    done = subprocess.run([rtguest.config.BUILD_IMAGE, '--program', 'ffmpeg'],
                          stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise rtguest.GuestError('the guest image could not be built: see '
                                 'above')
    built = dict(line.split('=', 1) for line in done.stdout.splitlines())
    path = os.path.join(directory, 'initrd')
    shutil.copyfile(built['initrd-ffmpeg'], path)
    cpio = Cpio()
    with open(clip, 'rb') as f:
        cpio.file(GUEST_CLIP[1:], f.read())
    with open(path, 'ab') as f:
        f.write(cpio.finish())
    return path


def send_command(address, port, packet_bytes, duration_s=DURATION_S):
    """What the guest runs: read the film in real time, send it as RTP."""
    # Newer versions send the first half second at once unless told not to.
    burst = '-readrate_initial_burst 0.001 ' \
        if 'readrate_initial_burst' in _run('-h', 'long') else ''
    return (f'ffmpeg -nostdin -loglevel error -re {burst}-i {GUEST_CLIP} '
            f'-t {duration_s} -c copy -f rtp -rtpflags skip_rtcp '
            f'"rtp://{address}:{port}?pkt_size={packet_bytes}"')


# -- Decode -------------------------------------------------------------------

class Pictures:
    """What came out of a decoder: {frame number: picture}."""

    def __init__(self, hashes_path, pixels_path):
        self._pixels_path = pixels_path
        self.hashes = {}            # of the decoded picture
        self._places = {}
        with open(hashes_path, encoding='ascii') as f:
            for line in f:
                if line.startswith('#'):
                    continue
                # stream, dts, pts, duration, size, hash
                fields = [field.strip() for field in line.split(',')]
                number = round(int(fields[2]) / RTP_TICKS_PER_FRAME)
                self._places[number] = len(self._places)
                self.hashes[number] = fields[5]

    def pixels(self, number):
        """RGB, row by row."""
        with open(self._pixels_path, 'rb') as f:
            f.seek(self._places[number] * PICTURE_BYTES)
            return f.read(PICTURE_BYTES)


def _decoder_output(directory, name):
    """ffmpeg's options for what Pictures reads, and the two paths."""
    hashes = os.path.join(directory, name + '.hashes')
    pixels = os.path.join(directory, name + '.rgb')
    passed = ['-map', '0:v', '-fps_mode', 'passthrough', '-enc_time_base',
              f'1/{RTP_CLOCK_HZ}']
    return [*passed, '-f', 'framemd5', hashes,
            *passed, '-pix_fmt', 'rgb24', '-f', 'rawvideo', pixels], \
        (hashes, pixels)


def decode_clip(clip, directory):
    """The pictures as they were sent."""
    output, paths = _decoder_output(directory, 'sent')
    _run('-i', clip, *output)
    return Pictures(*paths)


def decode_frames(frames, directory, name):
    """The pictures that ffmpeg makes of {frame number: H.264 with start codes},
    some of it incomplete."""
    # IVF is the plainest container with a time for each frame.
    path = os.path.join(directory, name + '.ivf')
    with open(path, 'wb') as f:
        f.write(struct.pack('<4sHH4sHHIIII', b'DKIF', 0, 32, b'H264', WIDTH,
                            HEIGHT, FRAMES_PER_S, 1, len(frames), 0))
        for number, data in sorted(frames.items()):
            f.write(struct.pack('<IQ', len(data), number) + data)
    output, paths = _decoder_output(directory, name)
    # One thread: what it makes of damaged frames must not depend on chance.
    _run('-threads', '1', '-i', path, *output)
    return Pictures(*paths)
