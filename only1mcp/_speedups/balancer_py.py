"""Which instance of a server takes the next call.

This file is the source of both twins; the types of the compiled one stand in `balancer_c.pxd`.
"""

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from only1mcp._speedups.gauge_py import Gauge as AnyGauge
    from only1mcp._speedups.hash_ring_py import HashRing as AnyRing

ALGORITHMS = (
    "round_robin", "least_connections", "consistent_hash", "random", "weighted_random",
)  # fmt: skip
ROUND_ROBIN, LEAST, HASH, RANDOM, WEIGHTED = range(5)
_HEALTH, _BREAKER, _FACTOR = 1, 2, 3
_DOWN = 2
_WHOLE = 1000
_ENTROPY = 4096


class Balancer:
    """Chooses among the instances that can take a call.

    Those are the instances whose breaker is closed; of them, those that are not down, unless so few
    are left that it is better not to believe it; of them, those near by, if there are any.

    Args:
        algorithm: its place in `ALGORITHMS`.
        gauges: what is known of each instance.
        shares: how many calls each is to get, compared with the others, and whether it is near by.
        ring: with a place for each of them; None when nobody asks by key.
        spare_percent: how much more than its share an instance may have under way when calls are
            placed by key; 0 for any number.
        panic_percent: when fewer instances than that are up, nobody heeds which are.
        entropy: returns so many random bytes, as unpredictable as can be had.
    """

    def __init__(
        self, algorithm: int, gauges: "Sequence[AnyGauge]", shares: Sequence[tuple[int, bool]],
        ring: "AnyRing | None", spare_percent: int, panic_percent: int,
        entropy: Callable[[int], bytes],
    ) -> None:  # fmt: skip
        self.size = len(gauges)
        if not 0 < self.size <= 64:
            raise ValueError("a server has from 1 to 64 instances")
        self._algorithm = algorithm
        self._gauges = list(gauges)
        self._weights = array("q", [weight for weight, _ in shares])
        self._near = array("q", [int(near) for _, near in shares])
        self._credit = array("q", [0] * self.size)
        self._able = array("q", [0] * self.size)
        self._bit = array("Q", [1 << place for place in range(self.size)])
        self._ring = ring
        self._spare = spare_percent
        self._panic = panic_percent
        self._entropy = entropy
        self._random = b""
        self._used = 0

    def pick(self, key: int, keyed: bool, tried: int) -> int:
        """Return the place of an instance; -1 when none can take a call.

        Args:
            key: where on the ring to look, if `keyed`.
            keyed: whether equal keys are to have the same instance, load or no load.
            tried: the places, as bits, that are not to be taken.
        """
        count = self._gather(tried)
        if count == 0:
            return -1
        if count == 1 and (self.size == 1 or self._algorithm != ROUND_ROBIN):
            return self._able[0]
        if keyed:
            return self._by_key(key, 0, count)
        if self._algorithm == HASH:
            return self._by_key(key, self._spare, count)
        return self._by_chance(count)

    def _by_chance(self, count: int) -> int:
        """Choose where no key has a say."""
        if self._algorithm == ROUND_ROBIN:
            return self._in_turn(count)
        if self._algorithm == LEAST:
            return self._least(count)
        if self._algorithm == RANDOM:
            return self._able[(self._bits() * count) >> 32]
        return self._able[self._weighted(count, -1)]

    def _gather(self, tried: int) -> int:
        """Note who can take a call; return how many they are."""
        closed = up = near = count = 0
        for place in range(self.size):
            if tried & self._bit[place]:
                continue
            gauge = self._gauges[place]
            if gauge.row[_BREAKER] >> 62:
                continue
            closed += 1
            if gauge.row[_HEALTH] != _DOWN:
                up += 1
                near += self._near[place]
        heeds = up > 0 and up * 100 >= self._panic * self.size
        for place in range(self.size):
            if tried & self._bit[place]:
                continue
            gauge = self._gauges[place]
            if gauge.row[_BREAKER] >> 62:
                continue
            if heeds and (gauge.row[_HEALTH] == _DOWN or (near > 0 and not self._near[place])):
                continue
            self._able[count] = place
            count += 1
        return count

    def _weight(self, place: int) -> int:
        """Return a weight as it is now, in thousandths."""
        gauge = self._gauges[place]
        factor = gauge.row[_FACTOR]
        if factor == 0:
            factor = _WHOLE
        return self._weights[place] * factor

    def _in_turn(self, count: int) -> int:
        """Give each as many turns as its weight says, those of the heavy ones spread out.

        Each turn every instance gains its weight; the richest is taken, and pays the sum of all.
        """
        total = 0
        best = -1
        for index in range(count):
            place = self._able[index]
            weight = self._weight(place)
            total += weight
            self._credit[place] += weight
            if best < 0 or self._credit[place] > self._credit[best]:
                best = place
        self._credit[best] -= total
        return best

    def _least(self, count: int) -> int:
        """Draw two by weight, and take the one with less under way for its weight.

        To compare all would send every worker to the same one at the same time.
        """
        first = self._weighted(count, -1)
        second = self._able[self._weighted(count, first)]
        first = self._able[first]
        gauge = self._gauges[first]
        other = self._gauges[second]
        mine = gauge.load() * self._weight(second)
        yours = other.load() * self._weight(first)
        return first if mine <= yours else second

    def _weighted(self, count: int, without: int) -> int:
        """Draw by weight one of those who can; return its index among them."""
        total = 0
        for index in range(count):
            if index != without:
                total += self._weight(self._able[index])
        left = (self._bits() * total) >> 32
        last = 0
        for index in range(count):
            if index != without:
                weight = self._weight(self._able[index])
                if left < weight:
                    return index
                left -= weight
                last = index
        return last

    def _by_key(self, key: int, spare: int, count: int) -> int:
        """Walk round the ring to the first who can, and has no more than its share."""
        left = 0
        total = 1
        weights = 0
        for index in range(count):
            place = self._able[index]
            left |= self._bit[place]
            if spare > 0:
                gauge = self._gauges[place]
                total += gauge.load()
                weights += self._weight(place)
        return self._walk(key, left, spare, total, weights)

    def _walk(self, key: int, left: int, spare: int, total: int, weights: int) -> int:
        ring = self._ring
        if ring is None:
            raise ValueError("nothing is placed by key here")
        at = ring.find(key)
        first = -1
        while left:
            place = ring.node(at)
            if left & self._bit[place]:
                if first < 0:
                    first = place
                if spare == 0:
                    return place
                gauge = self._gauges[place]
                share = (total * (100 + spare) * self._weight(place) + 100 * weights - 1) // (
                    100 * weights
                )
                if gauge.load() + 1 <= share:
                    return place
                left ^= self._bit[place]
            at += 1
            if at == ring.size:
                at = 0
        return first

    def _bits(self) -> int:
        """Return 32 random bits."""
        if self._used + 4 > len(self._random):
            self._random = self._entropy(_ENTROPY)
            self._used = 0
        bits = 0
        for at in range(self._used, self._used + 4):
            bits = bits * 256 + self._random[at]
        self._used += 4
        return bits
