#include "history/readers.h"

namespace waybill::history {

Result<std::unique_ptr<Readers>> Readers::open(const std::string& path, size_t count) {
    auto pool = std::make_unique<Readers>();
    for (size_t i = 0; i < count; i++) {
        TRY(auto db, Connection::open(path, Connection::Mode::read_only));
        TRY_VOID(db->run("PRAGMA cache_size = -8000"));
        pool->free_.push_back(std::move(db));
    }
    return pool;
}

Result<Readers::Lease> Readers::take() {
    std::unique_ptr<Connection> db;
    {
        std::unique_lock lock(mutex_);
        freed_.wait(lock, [&] { return !free_.empty(); });
        db = std::move(free_.back());
        free_.pop_back();
    }
    Lease lease(*this, std::move(db));
    TRY(Statement * begin, lease->prepared("BEGIN"));
    TRY_VOID(begin->run());
    return lease;
}

void Readers::give_back(std::unique_ptr<Connection> db) {
    db->limit_time(0);
    db->reset_all();
    // COMMIT of a reader only lets go of the snapshot; where an error has ended the transaction already there is nothing to let go of.
    if (!sqlite3_get_autocommit(db->handle())) (void)db->run("COMMIT");
    {
        std::lock_guard lock(mutex_);
        free_.push_back(std::move(db));
    }
    freed_.notify_one();
}

}  // namespace waybill::history
