#include "tensor/threads.h"

#include <sched.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

#include "tensor/error.h"

namespace nabla {
namespace {

thread_local bool inside_loop = false;
thread_local int own_limit = 0;  // of SerialLoops; 0: none

// A loop's task. It keeps the exception of the smallest piece that threw one: leaving a thread, it would end the process.
class Guarded {
 public:
  Guarded(void (*task)(const void*, int64_t), const void* body) : task_(task), body_(body) {}

  static void run(const void* guarded, int64_t i) noexcept {
    const Guarded& self = *static_cast<const Guarded*>(guarded);
    try {
      self.task_(self.body_, i);
    } catch (...) {
      const std::lock_guard lock(self.mutex_);
      if (!self.error_ || i < self.piece_) self.error_ = std::current_exception(), self.piece_ = i;
    }
  }
  // Once all pieces are done.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void (*task_)(const void*, int64_t);
  const void* body_;
  mutable std::mutex mutex_;
  mutable std::exception_ptr error_;
  mutable int64_t piece_ = 0;  // that threw it
};

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waiting without sleeping starts again within a fraction of a microsecond, where waking a thread takes tens of them. But
// it takes a processor from whoever else has work. Both are had by looking at the clock: who is stopped for longer than
// `slice` while he looks at nothing else shares his processor, and sleeps at once for the next while.
class Spinner {
 public:
  template <class Done>
  static bool wait(const Done& done) {
    using namespace std::chrono;
    constexpr microseconds patience(300), slice(150), shared_for(200'000);
    if (done()) return true;
    const auto start = steady_clock::now();
    if (start.time_since_epoch().count() < sleep_until.load(std::memory_order_relaxed)) return false;
    for (auto before = start;;) {
      for (int i = 0; i < 16; ++i) {
        if (done()) return true;
        relax();
      }
      const auto now = steady_clock::now();
      if (now - before > slice) {
        sleep_until.store((now + shared_for).time_since_epoch().count(), std::memory_order_relaxed);
        return false;
      }
      if (now - start > patience) return false;
      before = now;
    }
  }

 private:
  static inline std::atomic<int64_t> sleep_until = 0;  // of steady_clock
};

// The threads beside the caller's. They are never joined: they hold nothing, a process may end at any time, and in a child
// that fork() made they do not exist, which a caller, who can do all of the work, does not notice.
class Team {
 public:
  void start(int helpers) {
    while (started_ < helpers) start_one();
  }

  void run(int64_t count, int helpers, void (*task)(const void*, int64_t), const void* body) noexcept {
    task_ = task;
    body_ = body;
    count_ = count;
    finished_.store(0, std::memory_order_relaxed);
    helpers_.store(helpers, std::memory_order_relaxed);
    const uint64_t loop = loop_.load(std::memory_order_relaxed) + 1;
    for (int i = 0; i < shares(); ++i)
      tickets_[i].store(loop << ticket_bits | static_cast<uint64_t>(first_of(i + 1) - first_of(i)));
    loop_.store(loop);
    if (sleeping_.load() > 0) {
      const std::lock_guard lock(mutex_);
      wake_.notify_all();
    }
    take_pieces(0);
    const auto done = [&] { return finished_.load() == count_; };
    if (Spinner::wait(done)) return;
    std::unique_lock lock(mutex_);
    caller_sleeps_ = true;
    done_.wait(lock, done);
    caller_sleeps_ = false;
  }

  std::mutex& turn() { return turn_; }

 private:
  // A share's tickets are the number of the loop, and how many of the share's pieces nobody has taken. Whoever lowers that by
  // one has a piece, and the loop cannot end before he is done with it: until then task_, body_, count_ and helpers_ are those
  // of his loop.
  struct alignas(64) Tickets : std::atomic<uint64_t> {};
  static constexpr int ticket_bits = 40, most_shares = 256;
  static int64_t left(uint64_t tickets) {
    return static_cast<int64_t>(tickets & ((uint64_t{1} << ticket_bits) - 1));
  }
  int shares() const { return std::min(helpers_.load() + 1, most_shares); }
  int64_t first_of(int share) const { return count_ * share / shares(); }

  // First of the thread's own share, then of the next ones.
  void take_pieces(int thread) noexcept {
    const int all = shares();
    for (int i = 0; i < all; ++i) take_share((thread + i) % all);
  }

  void take_share(int share) noexcept {
    uint64_t tickets = tickets_[share].load();
    while (left(tickets) > 0) {
      if (!tickets_[share].compare_exchange_weak(tickets, tickets - 1)) continue;
      const int64_t count = count_;
      task_(body_, first_of(share + 1) - left(tickets));
      if (finished_.fetch_add(1) + 1 == count) wake_caller();
      tickets = tickets_[share].load();
    }
  }

  void wake_caller() {
    if (!caller_sleeps_.load()) return;
    const std::lock_guard lock(mutex_);
    done_.notify_one();
  }

  void start_one() {
    const int number = started_;
    std::thread([this, number] {
      inside_loop = true;  // a loop in a piece is run by who has the piece
      uint64_t seen = 0;
      const auto called = [&] { return loop_.load() != seen && number < helpers_.load(); };
      for (;;) {
        if (!Spinner::wait(called)) {
          std::unique_lock lock(mutex_);
          ++sleeping_;
          wake_.wait(lock, called);
          --sleeping_;
        }
        seen = loop_.load();
        take_pieces(number + 1);
      }
    }).detach();
    ++started_;
  }

  std::mutex turn_;  // one loop at a time
  Tickets tickets_[most_shares] = {};
  std::atomic<uint64_t> loop_ = 0;
  std::atomic<int64_t> finished_ = 0;
  void (*task_)(const void*, int64_t) = nullptr;
  const void* body_ = nullptr;
  int64_t count_ = 0;
  int started_ = 0;
  std::atomic<int> helpers_ = 0, sleeping_ = 0;
  std::atomic<bool> caller_sleeps_ = false;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
};

Team& the_team() {
  static Team& team = *new Team;  // outlives the threads, which nobody joins
  return team;
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The smallest quota of this process's cgroup and those around it. A container sees its own as the root.
std::optional<double> cgroup_quota() {
  std::optional<double> least;
  const auto note = [&](const std::string& text) {
    const std::optional<double> quota = processors_of_quota(text);
    if (quota && (!least || *quota < *least)) least = quota;
  };
  const std::filesystem::path root = "/sys/fs/cgroup";
  note(text_of(root / "cpu.max"));
  note(text_of(root / "cpu/cpu.cfs_quota_us") + ' ' + text_of(root / "cpu/cpu.cfs_period_us"));
  std::istringstream lines(text_of("/proc/self/cgroup"));  // "0::/a/b", or "4:cpu,cpuacct:/a/b"
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool unified = controllers.empty();
    if (!unified && (',' + controllers + ',').find(",cpu,") == std::string::npos) continue;
    std::filesystem::path folder = std::filesystem::path(line.substr(second + 1)).relative_path();
    for (; !folder.empty(); folder = folder.parent_path()) {
      const std::filesystem::path at = root / (unified ? "" : "cpu") / folder;
      note(unified ? text_of(at / "cpu.max")
                   : text_of(at / "cpu.cfs_quota_us") + ' ' + text_of(at / "cpu.cfs_period_us"));
    }
  }
  return least;
}

std::atomic<int>& limit() {
  static std::atomic<int> count = default_threads();
  return count;
}

}  // namespace

std::optional<double> processors_of_quota(const std::string& text) {
  std::istringstream in(text);
  double quota = 0, period = 0;
  if (!(in >> quota >> period) || !(quota > 0) || !(period > 0))
    return std::nullopt;  // "max", -1, or no file
  return quota / period;
}

int default_threads() {
  int count = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  if (const std::optional<double> quota = cgroup_quota())
    count = std::min(count, std::max(1, static_cast<int>(std::ceil(std::min(*quota, 1e6)))));
  if (const char* wanted = std::getenv("OMP_NUM_THREADS")) {
    const int given = std::atoi(wanted);  // the first number of a list
    if (given > 0) count = given;
  }
  return count;
}

int num_threads() { return own_limit > 0 ? own_limit : limit().load(std::memory_order_relaxed); }

void set_num_threads(int count) {
  check(count >= 0, "set_num_threads: {} threads", count);
  limit() = count > 0 ? count : default_threads();
}

int useful_threads() {
  static const int processors = static_cast<int>(std::max(2u, std::thread::hardware_concurrency()));
  return std::min(num_threads(), processors);
}

bool in_parallel_loop() { return inside_loop; }

SerialLoops::SerialLoops() : before_(own_limit) { own_limit = 1; }
SerialLoops::~SerialLoops() { own_limit = before_; }

static void run_guarded(int64_t count, const Guarded& task) {
  const int team = num_threads();
  if (count > 1 && team > 1 && !inside_loop) {
    const std::unique_lock turn(the_team().turn(), std::try_to_lock);
    if (turn) {
      const int helpers = static_cast<int>(std::min<int64_t>(useful_threads(), count)) - 1;
      the_team().start(helpers);
      inside_loop = true;
      the_team().run(count, helpers, Guarded::run, &task);
      inside_loop = false;
      return;
    }
  }
  for (int64_t i = 0; i < count; ++i) Guarded::run(&task, i);
}

void run_on_threads(int64_t count, void (*task)(const void* body, int64_t i), const void* body) {
  const Guarded guarded(task, body);
  run_guarded(count, guarded);
  guarded.rethrow();
}

}  // namespace nabla
