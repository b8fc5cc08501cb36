// What of a command line is a video.
#include "dinomaly/video/video_name.h"

#include <doctest/doctest.h>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tests/support.h"

using namespace dinomaly;

TEST_CASE("video names: addresses, cameras, sequences and files that are no images") {
  const TemporaryFolder folder;
  const auto path = [&](const char* name) { return (folder / name).string(); };
  write_file(path("a.mp4"), "no image");
  save_png(path("image.mp4"), Image(4, 4, 3));
  save_png(path("100%d.png"), Image(4, 4, 3));
  CHECK(is_video("rtsp://camera/1"));
  CHECK(is_video("v4l2:/dev/video0"));
  CHECK(is_video(path("frame%04d.png")));
  CHECK(is_video(path("a.mp4")));
  CHECK_FALSE(is_video(path("image.mp4")));  // the bytes decide
  CHECK_FALSE(is_video(path("100%d.png")));  // a file of that name
  CHECK_FALSE(is_video(path("frame%s.png")));
  CHECK_FALSE(is_video(path("missing.mp4")));
  CHECK_FALSE(is_video(folder.path().string()));
  CHECK_FALSE(is_video("-"));
}

TEST_CASE("video names: no password is shown, and no other kind of address is opened") {
  CHECK(parse_video_name("RTSP://u:p@h/").shown == "RTSP://***@h/");
  CHECK(parse_video_name("RTSP://u:p@h/").scheme == "rtsp");
  CHECK(parse_video_name("concat:a|b").address == "file:./concat:a|b");
  CHECK(parse_video_name("/a/b.mp4").address == "file:/a/b.mp4");
  CHECK_THROWS_WITH(parse_video_name("ftp://host/a.mp4"),
                    doctest::Contains("'ftp' is none of the addresses"));
  CHECK_THROWS_WITH(parse_video_name("ftp://me:secret@host/a.mp4"),
                    doctest::Contains("ftp://***@host/a.mp4: 'ftp'"));
}
