# A root folder of Debian as an image; images/base.py makes the folder.
FROM scratch
ADD root.tar /
ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin
CMD ["sh"]
