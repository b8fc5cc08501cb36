// What is shown of an address: no name, no password, no key.
#include "dinomaly/base/shown_address.h"

#include <doctest/doctest.h>

using dinomaly::shown_address;

TEST_CASE("shown address: who asks and what may be a key are hidden, the rest stays") {
  CHECK(shown_address("rtsp://me:secret@host/a:b@c") == "rtsp://***@host/a:b@c");
  CHECK(shown_address("https://token@host:554/x") == "https://***@host:554/x");
  CHECK(shown_address("rtsp://me:p?w@host/x") == "rtsp://***@host/x");
  CHECK(shown_address("http://host:80") == "http://host:80");
  CHECK(shown_address("http://host/hook?key=secret&channel=1&flag") ==
        "http://host/hook?key=***&channel=1&***");
  CHECK(shown_address("http://host/hook?pin=1234") == "http://host/hook?pin=***");
  CHECK(shown_address("http://host?a=b=c&") == "http://host?a=***&");
  CHECK(shown_address("belt.mp4") == "belt.mp4");
  CHECK(shown_address("what?.mp4") == "what?.mp4");
  CHECK(shown_address("://@?") == "://***@?");
  CHECK(shown_address("") == "");
}
