# SPDX-License-Identifier: MIT
# weft-gdb.py - see the fibers of a program, live or in a core, from gdb:
#
#     (gdb) source /usr/share/weft/weft-gdb.py
#     (gdb) weft fibers          every fiber of every worker, numbered
#     (gdb) weft bt 3            where fiber 3 is;  weft bt all
#     (gdb) weft select 3        bt, frame and info locals show fiber 3, until weft select off
#
# libweft needs its debug information (meson: -Ddebug=true). A fiber that waits left its registers
# on its stack (src/os/switch/); an unwinder shows them to gdb as the caller of the thread's
# innermost frame, which writes no register and so works in a core as well: one that the kernel wrote.
# gdb's own generate-core-file cannot read guard pages, and leaves out the stacks around them.
import gdb
from gdb.unwinder import Unwinder, register_unwinder

# From the saved stack pointer: where each register lies, and how far the stack goes on.
LAYOUTS = {
    "i386:x86-64": ({"r15": 8, "r14": 16, "r13": 24, "r12": 32, "rbx": 40, "rbp": 48, "rip": 56},
                    "rip", "rsp", 64),
    "aarch64": ({**{"x%d" % (19 + i): 8 * i for i in range(12)}, "pc": 88}, "pc", "sp", 176),
}


def list_of(head, type_name, member):
    """The structs on a list (src/base/list.h)."""
    kind = gdb.lookup_type(type_name)
    offset = next(f.bitpos // 8 for f in kind.fields() if f.name == member)
    link = head["next"]
    while link != head.address:
        yield (link.cast(gdb.lookup_type("char").pointer()) - offset).cast(kind.pointer())
        link = link["next"]


def text_of(pointer, otherwise):
    return pointer.string(errors="replace") if int(pointer) else otherwise


def address_of(name):
    try:
        return int(gdb.parse_and_eval("(long)&" + name))
    except gdb.error:
        return None


def function_at(pointer):
    text = str(pointer)  # (int (*)(void *)) 0x1234 <name>
    return text[text.index("<") + 1:-1] if text.endswith(">") else text.split()[-1]


class Fiber:
    def __init__(self, pointer, worker, depth):
        self.pointer, self.worker, self.depth = pointer, worker, depth
        self.running = worker["current"] == pointer
        self.stack = int(pointer["stack"])
        self.stack_end = self.stack + int(pointer["stacks"]["usable_bytes"])

    def state(self):
        if self.running:
            return "running"
        if not int(self.pointer["parked"]):
            return "runnable"
        return "waiting for " + text_of(self.pointer["waits_for"], "something")

    def describe(self):
        cancelled = ", cancelled" if int(self.pointer["scope"]["cause"]) else ""
        return '"%s" %s: %s%s' % (text_of(self.pointer["name"], ""),
                                  function_at(self.pointer["fn"]), self.state(), cancelled)

    def thread(self):
        """The thread that runs on the fiber's stack now."""
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            if self.stack <= int(gdb.newest_frame().read_register("sp")) < self.stack_end:
                return thread
        return None


def all_fibers():
    """Depth first, as weft_dump shows them. No recursion: groups nest as deep as there are fibers."""
    fibers = []
    runtimes = gdb.parse_and_eval("weft_runtimes")
    for runtime in list_of(runtimes, "struct weft_runtime", "all"):
        for index in range(int(runtime["workers_ready"])):
            worker = runtime["workers"][index]
            guests = list_of(worker["guests"], "struct weft_fiber", "sibling")
            stack = [(pointer, 0) for pointer in guests][::-1]
            while stack:
                pointer, depth = stack.pop()
                fibers.append(Fiber(pointer, worker, depth))
                inside = []
                for group in list_of(pointer["groups"], "struct weft_group", "open"):
                    inside += list_of(group["children"], "struct weft_fiber", "sibling")
                stack += [(child, depth + 1) for child in reversed(inside)]
    return fibers


class SavedFrame:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class FiberUnwinder(Unwinder):
    """While a fiber is selected, the thread's innermost frame was called by the fiber."""

    def __init__(self):
        super().__init__("weft fibers")
        self.saved = None

    def select(self, fiber):
        self.deselect()
        frame = gdb.newest_frame()
        layout = LAYOUTS.get(frame.architecture().name())
        if not layout or not address_of("weft_context_start"):
            raise gdb.GdbError("weft: no backtraces here: it switches with ucontext")
        self.sp, self.pc = int(frame.read_register("sp")), int(frame.pc())
        self.saved = int(fiber.pointer["context"]["sp"])
        self.layout = layout
        gdb.invalidate_cached_frames()

    def deselect(self):
        if self.saved is not None:
            self.saved = None
            gdb.invalidate_cached_frames()

    def word(self, offset):
        pointer = gdb.lookup_type("unsigned long").pointer()
        return gdb.Value(self.saved + offset).cast(pointer).dereference()

    def resume_at(self):
        return int(self.word(self.layout[0][self.layout[1]]))

    def __call__(self, pending):
        if self.saved is None:
            return None
        offsets, pc, sp, size = self.layout
        here, at = pending.read_register(sp), pending.read_register(pc)
        if int(here) & (1 << 64) - 1 != self.sp or int(at) & (1 << 64) - 1 != self.pc:
            return None
        # The fiber's stack pointer as identity: gdb insists that callers lie further up.
        info = pending.create_unwind_info(SavedFrame(gdb.Value(self.saved).cast(here.type), at))
        for name, offset in offsets.items():
            info.add_saved_register(name, self.word(offset).cast(pending.read_register(name).type))
        info.add_saved_register(sp, gdb.Value(self.saved + size).cast(here.type))
        return info


unwinder = FiberUnwinder()
register_unwinder(None, unwinder, replace=True)
gdb.events.cont.connect(lambda event: unwinder.deselect())


def arguments(frame):
    try:
        block = frame.block()
        while block and not block.function:
            block = block.superblock
        return ", ".join("%s=%s" % (symbol.name, symbol.value(frame).format_string(max_elements=20))
                         for symbol in block or [] if symbol.is_argument)
    except (RuntimeError, gdb.error):
        return ""


def print_frames(frame):
    number = 0
    while frame:
        place = frame.find_sal()
        where = " at %s:%d" % (place.symtab.filename, place.line) if place.symtab else ""
        print("  #%-2d 0x%x in %s (%s)%s" % (number, frame.pc(), frame.name() or "??",
                                             arguments(frame), where))
        number += 1
        frame = frame.older()


def print_fiber(fiber):
    if fiber.running:
        if fiber.thread():
            print_frames(gdb.newest_frame())
        else:
            print("  its thread is not on its stack: in a signal handler?")
        return
    unwinder.select(fiber)
    try:
        if unwinder.resume_at() == address_of("weft_context_start"):
            print("  it has not begun")
            return
        frame = gdb.newest_frame()
        while frame and frame.pc() != unwinder.resume_at():
            frame = frame.older()
        print_frames(frame)
    finally:
        unwinder.deselect()


def chosen(argument):
    fibers = all_fibers()
    try:
        return fibers[int(argument) - 1 if int(argument) > 0 else len(fibers)]
    except (ValueError, IndexError):
        raise gdb.GdbError("weft: no fiber '%s'; there are %d, see weft fibers" %
                           (argument, len(fibers)))


class WeftCommand(gdb.Command):
    """See what fibers do: weft fibers, weft bt, weft select."""

    def __init__(self):
        super().__init__("weft", gdb.COMMAND_STACK, prefix=True)


class FibersCommand(gdb.Command):
    """List the fibers of every worker: weft fibers"""

    def __init__(self):
        super().__init__("weft fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        worker = None
        for number, fiber in enumerate(all_fibers(), 1):
            if fiber.worker.address != worker:
                worker = fiber.worker.address
                print("worker %d: %d fibers" % (fiber.worker["index"], fiber.worker["fibers"]))
            print("%5d %s%s" % (number, "  " * fiber.depth, fiber.describe()))


class BacktraceCommand(gdb.Command):
    """Show where a fiber is: weft bt NUMBER, weft bt all"""

    def __init__(self):
        super().__init__("weft bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        thread = gdb.selected_thread()
        fibers = all_fibers() if argument == "all" else [chosen(argument)]
        for number, fiber in enumerate(fibers, 1):
            print("%s %s" % (number if argument == "all" else argument, fiber.describe()))
            print_fiber(fiber)
            thread.switch()


class SelectCommand(gdb.Command):
    """Have bt, frame and info locals show a fiber that waits: weft select NUMBER, weft select off"""

    def __init__(self):
        super().__init__("weft select", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        unwinder.deselect()
        if argument == "off":
            return
        fiber = chosen(argument)
        if fiber.running:
            fiber.thread()
            return
        unwinder.select(fiber)
        frame = gdb.newest_frame()
        while frame and frame.pc() != unwinder.resume_at():
            frame = frame.older()
        if frame:
            frame.select()
        print("%s %s; frame 0 is the thread's own" % (argument, fiber.describe()))


WeftCommand()
FibersCommand()
BacktraceCommand()
SelectCommand()
