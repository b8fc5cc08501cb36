// What a depth sensor saw, a point a pixel, as MVTec 3D-AD publishes it; and the preparation before it is a picture.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/image/clusters.h"
#include "dinomaly/image/depth_picture.h"
#include "dinomaly/image/image.h"

namespace dinomaly {

// Rows from the top; x, y, z in metres, z from the sensor on. z <= 0: there is no point.
struct PointCloud {
  int64_t width = 0, height = 0;
  std::vector<Point3> points;
};

// Whether the file is a TIFF of three floats a pixel; false for whatever cannot be read.
bool is_point_cloud(const std::filesystem::path& path);

// A TIFF of three 32-bit floats a pixel. Throws InputError naming the file: damaged, more than 2^22 pixels, values that
// are not finite or beyond 3 km.
PointCloud load_point_cloud(const std::filesystem::path& path);

struct DepthScene {
  Image rgb;  // black where the background was
  DepthMap depth;
};

// Dinomaly2's preparation (prepare_data/preprocess_mvtec3d_1.py, from M3DM, and _2.py):
// 1. The plane on which the object lies is fitted to the points of the 10-pixel border (RANSAC: the best of 1000 planes
//    through three points, by how many are within 0.004 of it, then fitted to these; the seed is fixed). Points within
//    0.005 of it are removed. Where most of the border has no point and is black, that has been done before.
// 2. Of what is left the largest cluster stays (dbscan: 0.006, 30 points). Image and points are black and none elsewhere.
// 3. Both are padded with zeros to a square (square_side()), and three times each pixel without a depth gets the mean of
//    those around it that have one.
// Differs: theirs draws other planes, through 50 points; takes points of which none stays for a cluster; and passes over
// gaps in the first row and column. Throws InputError naming `name` where the image has another size, the border has no
// plane, or nothing is left.
DepthScene prepare_scene(PointCloud cloud, Image rgb, const std::string& name);

// The longer side, rounded up to a multiple of 100.
int64_t square_side(int64_t width, int64_t height);
// The image in the middle of such a square, zeros around it; of an odd rest the larger half is right or below.
Image padded_to_square(const Image& image);

}  // namespace dinomaly
