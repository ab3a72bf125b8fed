"""Where frames come from: a generated camera, a video file or stream, a folder of images."""
