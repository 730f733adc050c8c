"""How the container images are built: the base, the images, their archives and bills of materials."""
