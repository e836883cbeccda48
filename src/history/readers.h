// A few read-only connections that threads take in turn. A lease holds one connection and one snapshot: all that is read under it is of
// the same moment. Leases are short (one page of a list); nothing else may be waited for while one is held.
#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "history/sqlite.h"

namespace waybill::history {

class Readers {
public:
    static Result<std::unique_ptr<Readers>> open(const std::string& path, size_t count);

    class Lease {
    public:
        Lease(Readers& from, std::unique_ptr<Connection> db) : from_(&from), db_(std::move(db)) {}
        Lease(Lease&&) = default;
        Lease& operator=(Lease&&) = delete;
        ~Lease() {
            if (db_) from_->give_back(std::move(db_));
        }
        Connection* operator->() { return db_.get(); }
        Connection& operator*() { return *db_; }

    private:
        Readers* from_;
        std::unique_ptr<Connection> db_;
    };
    Result<Lease> take();  // waits for a free connection

private:
    void give_back(std::unique_ptr<Connection> db);

    std::mutex mutex_;
    std::condition_variable freed_;
    std::vector<std::unique_ptr<Connection>> free_;
};

}  // namespace waybill::history
