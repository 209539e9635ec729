"""The gallery of everything under the outputs folder: an index of picture files, thumbnails, a trash.

    gallery.db      what is known of the files; it can be made again from them
    favourites.txt  those marked so, for then
    thumbnails/     small WebP files, by the stamp of their picture

Knows files, their infotext and whose they are; knows no request and no page.
"""

from webui.store.gallery.gallery import Gallery
from webui.store.gallery.index import UnknownPicture

__all__ = ["Gallery", "UnknownPicture"]
