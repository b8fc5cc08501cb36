#include "dinomaly/cli/predict_flags.h"

#include <CLI/CLI.hpp>

#include "dinomaly/cli/prediction_writer.h"

namespace dinomaly {

void add_predict_flags(CLI::App& command, PredictFlags& flags) {
  command.footer(
      "Exit status: 0 done, 1 an image or object is anomalous (with --fail-on-anomaly), 2 a file was not "
      "judged or not written, 130 or 143 stopped by SIGINT or SIGTERM, which are the end of "
      "--watch: then 0 or 1\n"
      "Examples:\n"
      "  dinomaly predict model.safetensors part.png --out results\n"
      "  dinomaly predict model.safetensors images/ --json --map-format tiff --out results > results.jsonl\n"
      "  find /data -name '*.png' | dinomaly predict model.safetensors - --fail-on-anomaly\n"
      "  dinomaly predict model.safetensors sheet.png --tile 512 --overlap 128 --out results\n"
      "  dinomaly predict model.safetensors --watch incoming --out results --move-to judged --csv >> "
      "verdicts.csv\n"
      "  dinomaly predict model.safetensors rtsp://camera.local/line1 --every 5 --json --mqtt broker/line1\n"
      "A video is judged frame by frame: a file (MP4, MKV, AVI, ...), a stream (rtsp, http, rtmp, udp, srt), "
      "a camera (v4l2:/dev/video0), a sequence (frame%04d.png). With --out its overlays become "
      "NAME_overlay.mp4. --json adds frame and seconds; of a stream or camera, which waits for nobody, the "
      "newest frame is judged, others are dropped and counted, and time says when.\n"
      "PNG, JPEG, TIFF, WebP, BMP, PNM and NPY files are read, whatever their names. Folders named among "
      "IMAGES are searched with those below and linked ones; ID_mask.png beside an image ID, a grey ID.png "
      "beside ID.jpg in colour, and the masks in a data set's ground_truth are passed over and counted. "
      "Every "
      "other file is named at the end, but for hidden and system files and this program's own results.\n"
      "A model trained on images with depth reads that of ID.png from ID_depth.tiff, .tif or .png beside it, "
      "that of rgb/ID.png also from z/ID.tiff or xyz/ID.tiff (.tif, .png). Depth and mask files of images "
      "are passed over and counted at the end. --watch waits 10 seconds for a depth that comes after its "
      "image.\n"
      "Images are judged, and coordinates and overlays given, as people see them: turned by their EXIF "
      "orientation, unless the model was trained without. An alpha is dropped, unless it is one of the 2 or "
      "4 channels that the model was trained on (train --channels). Of samples of 16 bits the eight "
      "highest of the model's bit_depth are used; TIFFs of 9 to 15 bits and PNMs say their depth.\n"
      "An image has at most 67 million pixels. With --tile it may have 536 million (a file of 2 GiB): "
      "larger ones than that are read in strips, 4 bytes of memory per pixel for the map and 5 more for "
      "regions, and their overlays are drawn smaller.");
  add_detector_flags(command, flags.detector);
  command.add_option(
      "IMAGES", flags.inputs,
      "files, folders, a video, or - for paths on standard input (lines, or names that end in NUL as "
      "find -print0 writes them)");
  command.add_option(
      "--watch", flags.watched,
      "judge images as they arrive in this folder and those below it (not in linked ones), until "
      "Ctrl-C; to judge those already in it, also name it among IMAGES");
  command.add_option("--out", flags.out, "folder for overlays and maps");
  command
      .add_option("--map-format", flags.maps,
                  "raw maps of the images' size: none, tiff (32-bit float) or npy")
      ->capture_default_str();
  command.add_flag("--no-overlay", flags.no_overlay, "write no overlays");
  command.add_flag("--json", flags.json, "JSON Lines, one object per image, instead of text");
  command.add_flag("--csv", flags.csv,
                   "CSV with a header, one line per image, instead of text: " + csv_header());
  command.add_option(
      "--move-to", flags.moved_to,
      "move each image, once its verdict is out, to DIR/good or DIR/anomalous (without a threshold: to "
      "DIR); none is overwritten, nor are its overlay and map (-2, -3, ... is added to names), and one that "
      "was not judged stays. Its depth and mask files go with it. "
      "With --object-by all images of an object are moved by its verdict, once that is out, and stay without "
      "one");
  command.add_flag("--fail-on-anomaly", flags.fail_on_anomaly, "exit status 1 if any image is anomalous");
  add_video_flags(command, flags.video);
  add_alarm_flags(command, flags.alarm);
  add_verdict_flags(command, flags.verdict);
  command.add_option(
      "--object-by", flags.object_by,
      "folder: the images of a folder show one object; after all images a line for each object follows, "
      "whose score is that of all its maps together. pair: an RGB and an infrared image, RGB/../ID.png and "
      "Infrared/../ID.png or ID.png and ID_infrared.png (in small letters or capitals), whose scores add up; "
      "a line follows once both are judged");
  command.add_option(
      "--object-threshold", flags.object_threshold,
      "objects with scores above this are anomalous (default: the calibrated one of such objects; for "
      "folders without one, that of images)");
  add_inspection_flags(command, flags.inspection, "as the thresholds were found, whole without any",
                       "as the thresholds were found, none without any");
}

}  // namespace dinomaly
