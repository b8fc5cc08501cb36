// Addresses of the network, for people: without what may be secret.
#pragma once

#include <string>

namespace dinomaly {

// "rtsp://name:password@host/path?key=secret&channel=1" is shown as "rtsp://***@host/path?key=***&channel=1": of a query's
// values those of up to three digits stay, which tell a camera's channels apart. Text without "://" is shown as it is.
std::string shown_address(const std::string& address);

}  // namespace dinomaly
