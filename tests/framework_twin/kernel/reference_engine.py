"""A deliberately naive engine: one Python loop turn per step, one block list per request.

It shares nothing with the kernel but the step-time law, and states the scheduling rules in the plainest way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests, slot_order
from framework_twin.physics.step_time import step_seconds

LAW = step_seconds


@dataclass(eq=False)
class Block:
    """A KV block. `name` is what it is found by, None while its content is unknown or a copy."""

    name: int | None = None
    users: int = 0


@dataclass(eq=False)
class NaiveRequest:
    index: int
    arrival_s: float
    prompt: int
    output: int
    adapter: int
    generated: int = 0
    computed: int = 0
    scheduled_s: float = math.nan
    first_token_s: float = math.nan
    last_token_s: float = math.nan
    preemptions: int = 0
    status: str = "waiting"
    in_decode: bool = False
    names: list[int] = field(default_factory=list)
    block_list: list[Block] = field(default_factory=list)
    named: int = 0
    hit_tokens: int = 0
    gaps: list[float] = field(default_factory=list)

    @property
    def blocks(self) -> int:
        return len(self.block_list)

    @property
    def target(self) -> int:
        return self.prompt + self.generated


class NaiveEngine:
    """One replica, stepped token by token."""

    def __init__(self, engine: EngineConfig, law, adapters: AdapterTable) -> None:
        self.engine = engine
        self.law = law
        self.adapters = adapters
        self.time_s = 0.0
        self.waiting: list[NaiveRequest] = []
        self.running: list[NaiveRequest] = []
        self.free_queue = [Block() for _ in range(engine.kv_blocks)]
        self.cached: dict[int, Block] = {}
        self.queries = self.hits = 0
        self.preemptions = self.steps = self.loads = self.disk_loads = 0
        self.peak_blocks = 0
        self.cut = False
        self.just_finished = 0
        self.owed_steps, self.owed_s = 0, 0.0
        self.gpu: list[int] = []
        cached = len(adapters) if engine.max_cpu_loras is None else engine.max_cpu_loras
        self.cpu_slots = cached
        self.cpu: list[int] = list(range(min(cached, len(adapters)))) if engine.adapters_preloaded else []

    def blocks(self, request: NaiveRequest, tokens: int) -> int:
        """Blocks that a request with so many tokens holds, with its recurrent state and its windowed layers."""
        blocks = self.engine.state_blocks + math.ceil(tokens / self.engine.block_size)
        if self.engine.window_tokens:
            share = min(1, Fraction(request.prompt + request.output // 2, self.engine.window_tokens))
            blocks += math.ceil(share * self.engine.window_blocks)
        return blocks

    @property
    def free(self) -> int:
        return len(self.free_queue)

    def take(self, request: NaiveRequest, blocks: int) -> None:
        """Give a request the longest unused blocks; what they were found by is forgotten."""
        for _ in range(blocks):
            block = self.free_queue.pop(0)
            if block.name is not None:
                del self.cached[block.name]
            block.name = None
            block.users = 1
            request.block_list.append(block)

    def load_at(self, time_s: float) -> int:
        """Requests as a router sees them: what the step in progress will finish still counts."""
        return len(self.running) + len(self.waiting) + (self.just_finished if self.time_s > time_s else 0)

    def give_back(self, request: NaiveRequest) -> None:
        self.name_blocks(request)
        for block in reversed(request.block_list):
            block.users -= 1
            if block.users == 0:
                self.free_queue.append(block)
        request.block_list = []
        request.computed = request.named = 0

    def name_blocks(self, request: NaiveRequest) -> None:
        if self.engine.enable_prefix_caching:
            full = min(request.computed // self.engine.block_size, len(request.names))
            for place in range(request.named, full):
                block, name = request.block_list[place], request.names[place]
                if name not in self.cached:
                    block.name = name
                    self.cached[name] = block
            request.named = max(full, request.named)

    def find(self, request: NaiveRequest) -> list[Block]:
        found: list[Block] = []
        if self.engine.enable_prefix_caching:
            for name in request.names[: (request.target - 1) // self.engine.block_size]:
                if name not in self.cached:
                    break
                found.append(self.cached[name])
        return found

    def arrive(self, request: NaiveRequest) -> None:
        if request.prompt + request.output > self.engine.longest_request:
            request.status = "refused"
        else:
            self.waiting.append(request)

    def preempt_newest(self) -> NaiveRequest:
        victim = self.running.pop()
        self.give_back(victim)
        victim.in_decode = False
        victim.preemptions += 1
        victim.status = "waiting"
        self.waiting.insert(0, victim)
        self.preemptions += 1
        return victim

    def reserve(self, request: NaiveRequest, tokens: int) -> bool:
        """Give a running request blocks for so many tokens, preempting from the newest on."""
        while (wanted := self.blocks(request, tokens) - request.blocks) > self.free:
            if self.preempt_newest() is request:
                return False
        if wanted > 0:
            self.take(request, wanted)
        return True

    def schedule(self) -> tuple[list[NaiveRequest], list[tuple[NaiveRequest, int, float]]]:
        before = self.preemptions
        if self.engine.prefill_first:
            chunks = self.admit(self.engine.max_num_batched_tokens)
            return ([], chunks) if chunks else (self.decodes(), [])
        decoding = self.decodes()
        budget = self.engine.max_num_batched_tokens - len(decoding)
        chunks = []
        partial = [request for request in self.running if not request.in_decode]
        assert len(partial) <= 1
        if partial:
            chunk = min(partial[0].target - partial[0].computed, budget)
            held = partial[0].computed + chunk
            if self.blocks(partial[0], held) - partial[0].blocks > self.free:
                self.preempt_newest()
            else:
                assert self.reserve(partial[0], held)
                chunks.append(self.chunk(partial[0], chunk))
                budget -= chunk
        if self.preemptions == before:
            chunks += self.admit(budget)
        return decoding, chunks

    def chunk(self, request: NaiveRequest, tokens: int) -> tuple[NaiveRequest, int, float]:
        """Compute prompt tokens: request, tokens, attention work."""
        attention = tokens * (request.computed + 0.5 * tokens)
        request.computed += tokens
        self.name_blocks(request)
        return request, tokens, attention

    def decodes(self) -> list[NaiveRequest]:
        """Give each decoding request room for one more token, oldest first."""
        for request in list(self.running):
            if request in self.running and request.in_decode:
                self.reserve(request, request.target)
        return [request for request in self.running if request.in_decode]

    def admit(self, budget: int) -> list[tuple[NaiveRequest, int, float]]:
        chunks = []
        whole = self.engine.generation == "v0"
        while budget > 0 and len(self.running) < self.engine.max_num_seqs:
            batch = {request.adapter for request in self.running} - {-1}
            full = len(batch) >= self.engine.max_loras
            admissible = [w for w in self.waiting if w.adapter == -1 or w.adapter in batch or not full]
            if not admissible:
                break
            request = admissible[0]
            if self.engine.prefill_first and request.target > budget:
                break
            found = self.find(request)
            hit = len(found) * self.engine.block_size
            chunk = min(request.target - hit, budget)
            blocks = self.blocks(request, request.target if whole else hit + chunk) - len(found)
            if blocks > self.free - sum(not b.users for b in found) - self.engine.watermark_blocks:
                break
            self.waiting.remove(request)
            self.running.append(request)
            for block in found:
                if not block.users:
                    self.free_queue.remove(block)
                block.users += 1
            request.block_list = found
            request.computed = hit
            request.named = len(found)
            self.take(request, blocks)
            self.hits += hit
            self.queries += request.target
            request.status = "running"
            if not request.preemptions:
                request.scheduled_s = self.time_s
                request.hit_tokens = hit
            chunks.append(self.chunk(request, chunk))
            budget -= chunk
        return chunks

    def load_adapters(self) -> float:
        """Go through the batch: what is there becomes the newest, what is missing evicts the oldest."""
        batch = {request.adapter for request in self.running} - {-1}
        seconds = 0.0
        order = [adapter for adapter in slot_order(len(self.adapters)).tolist() if adapter in batch]
        here = [adapter for adapter in order if adapter in self.gpu]
        for adapter in [*here, *order] if self.engine.touches_first else order:
            if adapter in self.gpu:
                self.gpu.remove(adapter)
                self.gpu.append(adapter)
                continue
            if adapter not in self.cpu:
                if len(self.cpu) == self.cpu_slots:
                    oldest = next(a for a in self.cpu if a not in batch)
                    self.cpu.remove(oldest)
                    if oldest in self.gpu:
                        self.gpu.remove(oldest)
                self.cpu.append(adapter)
                self.disk_loads += 1
                seconds += float(self.adapters.disk_to_cpu_s[adapter])
            if len(self.gpu) == self.engine.max_loras:
                self.gpu.pop(0)
            self.gpu.append(adapter)
            self.loads += 1
            seconds += float(self.adapters.cpu_to_gpu_s[adapter])
        return seconds

    def leave(self, adapters_before: list[int]) -> None:
        """Move adapters that left the batch to the most recently used end of the host's."""
        batch = {request.adapter for request in self.running}
        for adapter in adapters_before:
            if adapter != -1 and adapter not in batch and adapter in self.cpu:
                self.cpu.remove(adapter)
                self.cpu.append(adapter)

    def step(self, horizon_s: float) -> None:
        before = list(dict.fromkeys(request.adapter for request in self.running))
        decoding, chunks = self.schedule()
        self.leave(before[::-1])
        assert decoding or chunks, "stuck"
        load_s = self.load_adapters()
        self.peak_blocks = max(self.peak_blocks, self.engine.kv_blocks - self.free)
        context = sum(request.target for request in decoding)
        law = LAW(
            self.law,
            len(decoding),
            len(chunks),
            sum(tokens for _, tokens, _ in chunks),
            sum(attention for _, _, attention in chunks),
            len({request.adapter for request in self.running} - {-1}),
            self.engine.max_loras,
            self.engine.max_lora_rank,
            len(self.running),
            len(self.waiting),
            int(self.engine.generation == "v1"),
            self.engine.replicas_on_gpu,
        )
        step_s = sum(law[:-1]) + law[-1] * context
        end_s = self.time_s + load_s + step_s + self.wait_for_ranks(decoding, bool(chunks), context, step_s)
        if end_s > horizon_s:
            self.time_s = horizon_s
            self.cut = True
            return
        self.time_s = end_s
        self.steps += 1
        for request, _, _ in chunks:
            if request.computed == request.target:
                request.in_decode = True
                self.token(request)
        for request in decoding:
            request.computed += 1
            self.token(request)
        # A convention for adapters that lose their last requests in one step: decoded ones leave by request number.
        finished = [request for request in self.running if request.status == "finished"]
        self.just_finished = len(finished)
        for request in sorted(finished, key=lambda r: (r not in decoding, r.index if r in decoding else 0)):
            self.running.remove(request)
            self.give_back(request)
            self.leave([request.adapter])

    def idle_until(self, time_s: float) -> None:
        """Have nothing to do until then, if it is later: other ranks' prompts are over by then."""
        if time_s > self.time_s:
            self.time_s, self.owed_steps = time_s, 0

    def wait_for_ranks(
        self, decoding: list[NaiveRequest], prompts: bool, context: int, step_s: float
    ) -> float:
        """Wait for one of the other ranks' prompts, of which there are as many as of its own."""
        others = self.engine.ranks - 1
        if not others:
            return 0.0
        if prompts:
            self.owed_steps = others + max(0, self.owed_steps - others)
            alone = LAW(
                *(self.law, len(decoding), 0, 0, 0.0),
                len({request.adapter for request in self.running} - {-1}),
                *(self.engine.max_loras, self.engine.max_lora_rank, len(self.running), len(self.waiting)),
                *(int(self.engine.generation == "v1"), self.engine.replicas_on_gpu),
            )
            self.owed_s = step_s - (sum(alone[:-1]) + alone[-1] * context if decoding else 0.0)
            return 0.0
        if not self.owed_steps:
            return 0.0
        self.owed_steps -= 1
        return self.owed_s

    def token(self, request: NaiveRequest) -> None:
        if request.generated == 0:
            request.first_token_s = self.time_s
        else:
            request.gaps.append(self.time_s - request.last_token_s)
        request.last_token_s = self.time_s
        request.generated += 1
        if request.generated == request.output:
            request.status = "finished"


def names_of(requests: Requests, index: int) -> list[int]:
    if requests.prefix_blocks is None or requests.prefix_start is None:
        return []
    return requests.prefix_blocks[requests.prefix_start[index] : requests.prefix_start[index + 1]].tolist()


def run_naively(
    engine: EngineConfig, requests: Requests, law, adapters: AdapterTable | None = None
) -> tuple[list[NaiveRequest], list[NaiveEngine]]:
    """Simulate token by token; round robin over the replicas."""
    adapters = AdapterTable() if adapters is None else adapters
    horizon_s = math.inf if engine.horizon_s is None else engine.horizon_s
    everyone = [
        NaiveRequest(
            i,
            float(requests.arrival_s[i]),
            int(requests.input_tokens[i]),
            int(requests.output_tokens[i]),
            -1 if requests.adapter is None else int(requests.adapter[i]),
            names=names_of(requests, i),
        )
        for i in range(len(requests))
    ]
    replicas = [NaiveEngine(engine, law, adapters) for _ in range(engine.replicas)]
    if requests.linked:
        run_linked(everyone, replicas, requests, engine, horizon_s)
        return everyone, replicas
    coming = [request for request in everyone if request.arrival_s < horizon_s]
    if engine.router == "least_load":
        route_by_load(coming, replicas, horizon_s)
        coming = []
    for number, replica in enumerate(replicas):
        run_to(replica, coming[number :: engine.replicas], math.inf, horizon_s)
    return everyone, replicas


def run_to(replica: NaiveEngine, coming: list[NaiveRequest], until_s: float, horizon_s: float) -> None:
    """Run the steps that start before a time."""
    while not replica.cut:
        while coming and coming[0].arrival_s <= replica.time_s:
            replica.arrive(coming.pop(0))
        if replica.time_s >= until_s:
            break
        if replica.running or replica.waiting:
            replica.step(horizon_s)
        elif coming:
            replica.idle_until(coming[0].arrival_s)
        else:
            break
    while replica.cut and coming:
        replica.arrive(coming.pop(0))


def route_by_load(coming: list[NaiveRequest], replicas: list[NaiveEngine], horizon_s: float) -> None:
    """Send each request to the replica with the least load; ties go round, after the last one chosen."""
    turn = 0
    for request in coming:
        for replica in replicas:
            run_to(replica, [], request.arrival_s, horizon_s)
        order = [*range(turn, len(replicas)), *range(turn)]
        number = min(order, key=lambda i: replicas[i].load_at(request.arrival_s))
        turn = (number + 1) % len(replicas)
        replicas[number].idle_until(request.arrival_s)
        replicas[number].arrive(request)


def run_linked(
    everyone: list[NaiveRequest],
    replicas: list[NaiveEngine],
    requests: Requests,
    engine: EngineConfig,
    horizon_s: float,
) -> None:
    """Run step by step whichever replica is behind; a request's end brings the one that waits for it."""
    n = len(everyone)
    follows = [-1] * n if requests.follows is None else requests.follows.tolist()
    think_s = [0.0] * n if requests.think_s is None else requests.think_s.tolist()
    sessions = [request for request, before in zip(everyone, follows, strict=True) if before == -1]
    begun = len(sessions) if requests.users is None else requests.users
    due = [(request.arrival_s, n + request.index, request) for request in sessions[:begun]]
    sessions = sessions[begun:]
    turn = 0
    for request in everyone:
        request.status = "not arrived"

    def end(request: NaiveRequest, now_s: float) -> None:
        after = [other for other in everyone if follows[other.index] == request.index]
        if after or requests.users is not None:
            due_s = now_s + requests.turnaround_s + think_s[request.index]
            due.append((due_s, request.index, after[0] if after else None))

    while True:
        due.sort(key=lambda entry: entry[:2])
        able = [replica for replica in replicas if (replica.running or replica.waiting) and not replica.cut]
        behind = min(able, key=lambda replica: replica.time_s, default=None)
        now_s = behind.time_s if behind else math.inf
        if due and due[0][0] <= now_s and due[0][0] < horizon_s:
            due_s, _, request = due.pop(0)
            if request is None:
                if not sessions:
                    continue
                request = sessions.pop(0)
                if request.arrival_s > due_s:
                    due.append((request.arrival_s, n + request.index, request))
                    continue
            request.arrival_s = due_s
            number = request.index % len(replicas)
            if engine.router == "least_load":
                order = [*range(turn, len(replicas)), *range(turn)]
                number = min(order, key=lambda i: replicas[i].load_at(due_s))
            turn = (number + 1) % len(replicas)
            replicas[number].idle_until(due_s)
            request.status = "waiting"
            replicas[number].arrive(request)
            if request.status == "refused":
                end(request, due_s)
        elif behind is None:
            return
        else:
            running = list(behind.running) + list(behind.waiting)
            behind.step(horizon_s)
            for request in running:
                if request.status == "finished":
                    end(request, behind.time_s)
