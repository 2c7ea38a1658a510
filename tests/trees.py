"""Small trees of files in the formats of the data sets: each function writes one below a folder.

Without further arguments a tree has just what a run on a few images needs. The pixels of an image
follow from its name, so they are the same in every process.
"""

import json
import pickle
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from ranklight.datamodules.published.voc2007 import CLASSES as VOC_CLASSES

SIDE = 32
CHIHUAHUA, HUNTING_DOG = "n02085620-Chihuahua", "n02116738-African_hunting_dog"
CARS = [(kind, test) for kind in (1, 2, 3, 97, 98, 99, 196) for test in (0, 0, 0, 1)]


def pixels(file):
    seed = zlib.crc32("/".join(file.parts[-2:]).encode())
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def picture(file, mode="RGB"):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(file)).convert(mode).save(file)


def write(file, lines, end="\n"):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}{end}" for line in lines))


def image_folder(root, images=None):
    """Folders below the root, with how many images each has."""
    for folder, count in (images or dict.fromkeys("abcdefgh", 3)).items():
        for number in range(count):
            picture(root / folder / f"{number}.png")


def table_rows(splits):
    return [[f"images/{i}.png", i, i % 5, "x", split] for i, split in enumerate(splits)]


def regression_table(root, rows=None, header="image,age,weight,note,split"):
    """`table.csv`, and an image for each of its rows, whatever path stands there."""
    rows = table_rows(["train"] * 12 + ["val"] * 6 + ["test"] * 6) if rows is None else rows
    for image in range(len(rows)):
        picture(root / "images" / f"{image}.png")
    write(root / "table.csv", [header, *(",".join(map(str, row)) for row in rows)])


def divisors(number):
    return [f"by {divisor}" for divisor in range(2, 8) if number % divisor == 0]


def image_table(root):
    """`table.csv` with columns for labels of every kind, and pairs of one class in `pairs.csv`."""
    files = [f"images/{image}.png" for image in range(40)]
    rows = [
        [file, f"class {n % 4}", "|".join(["any", *divisors(n)]), n, n % 7, n % 5]
        for n, file in enumerate(files)
    ]
    for file in files:
        picture(root / file)
    header = "image,label,labels,age,weight,group"
    write(root / "table.csv", [header, *(",".join(map(str, row)) for row in rows)])
    pairs = [(n, m) for n in range(40) for m in range(n) if n % 4 == m % 4]
    lines = [f"{files[n]},{files[m]},{1 / (1 + (n - m) / 4):.3f}" for n, m in pairs]
    write(root / "pairs.csv", ["image,other,relevance", *lines])


def birds(root, classes=(1, 2, 3, 4, 101, 102), training=lambda number: number % 4 > 0):
    """CUB-200-2011 and NABirds: four images of each class."""
    kinds = {number: classes[number // 4] for number in range(4 * len(classes))}
    files = {number: f"{kind:03d}.Bird/Bird_{number}.jpg" for number, kind in kinds.items()}
    for file in files.values():
        picture(root / "images" / file)
    write(root / "images.txt", [f"{n}-ab {file}" for n, file in files.items()])
    write(root / "image_class_labels.txt", [f"{n}-ab {kind}" for n, kind in kinds.items()])
    write(root / "train_test_split.txt", [f"{n}-ab {int(training(n))}" for n in kinds])
    write(root / "classes.txt", [f"{kind} Bird {kind}" for kind in range(1, 201)])


def cars196(root, cars=CARS):
    """Pairs of a class and of whether the image is for test."""
    kind = [("relative_im_path", object), ("class", object), ("test", object)]
    rows = [(f"car_ims/{n:06d}.jpg", float(car), test) for n, (car, test) in enumerate(cars, 1)]
    for file, _, _ in rows:
        picture(root / file)
    names = np.array([[f"Car {number}" for number in range(1, 197)]], dtype=object)
    annotations = np.array([rows], dtype=kind)
    savemat(root / "cars_annos.mat", {"annotations": annotations, "class_names": names})


def coco(
    root,
    train=range(1, 9),
    val=range(9, 11),
    categories=None,
    shown=lambda image: [kind for kind in range(1, 81) if (image + kind) % 3],
):
    """Image ids of two splits, the name of each category id, and which an image shows."""
    categories = categories or {number: f"kind {number}" for number in range(1, 81)}
    for name, images in (("train2014", train), ("val2014", val)):
        content = {
            "images": [{"id": image, "file_name": f"{image:012d}.jpg"} for image in images],
            "annotations": [
                {"image_id": image, "category_id": category, "iscrowd": 1}
                for image in images
                for category in shown(image)
            ],
            "categories": [{"id": number, "name": kind} for number, kind in categories.items()],
        }
        for image in images:
            picture(root / name / f"{image:012d}.jpg")
        write(root / "annotations" / f"instances_{name}.json", [json.dumps(content, indent=1)])


def fgvc_aircraft(root, variants=("707-320", "Boeing 717"), train=2, val=2, test=2):
    """How many images each variant has in the splits; they are numbered from 1001."""
    data, number = root / "fgvc-aircraft-2013b" / "data", 1000
    write(data / "variants.txt", variants)
    for split, count in (("train", train), ("val", val), ("test", test)):
        lines = []
        for variant in np.repeat(variants, count):
            number += 1
            picture(data / "images" / f"{number:07d}.jpg")
            lines.append(f"{number:07d} {variant}")
        write(data / f"images_variant_{split}.txt", lines)


def flowers102(root, labels=(1, 102) * 6, train=(1, 2, 3, 4), val=(5, 6, 7, 8), test=range(9, 13)):
    """The class of each image, and the numbers, from 1, of the images in the splits."""
    folder = root / "flowers-102"
    for image in range(1, len(labels) + 1):
        picture(folder / "jpg" / f"image_{image:05d}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.array([labels], dtype=float)})
    splits = {"trnid": train, "valid": val, "tstid": test}
    savemat(folder / "setid.mat", {name: np.array([ids]) for name, ids in splits.items()})


def mpii_pose(root, train=20, test=8):
    """Poses on a line, images light on the left; returns all distances between them."""
    poses = np.random.default_rng(0).permutation(train + test).astype(float)
    for folder, numbers in (("0", range(train)), ("1", range(train, train + test))):
        for number in numbers:
            file = root / folder / f"{number:05d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            light = pixels(file)
            light[:, : SIDE // 2] = 255
            Image.fromarray(light).save(file)
    distance = np.abs(poses[:, None] - poses)
    inside = distance[:train, :train]
    order = inside.argsort(1)[:, 1:]
    lists = {"list_nn": order.tolist(), "dist_nn": list(np.take_along_axis(inside, order, 1))}
    for name, rows in lists.items():
        (root / f"{name}.pkl").write_bytes(pickle.dumps({"trn": rows, "val": []}, 2))
    savemat(root / "dist_pose_val.mat", {"dist_pose_val": distance[train:, train:]})
    return distance


def nus_wide(root, train=None, test=None, labels=None):
    r"""Names `folder\image.jpg` of two splits, and of each concept its two columns of 0 and 1."""
    train = train or [f"zoo\\{number}.jpg" for number in range(8)]
    test = test or [f"zoo\\{number}.jpg" for number in range(8, 10)]
    columns = {str(n): "".join(str(int((i + n) % 3 > 0)) for i in range(10)) for n in range(81)}
    labels = labels or {name: (column[:8], column[8:]) for name, column in columns.items()}
    for number, (split, images) in enumerate((("Train", train), ("Test", test))):
        write(root / "ImageList" / f"{split}Imagelist.txt", images, "\r\n")
        for image in images:
            picture(root / "Flickr" / image.replace("\\", "/"))
        for concept, of_splits in labels.items():
            file = root / "Groundtruth" / "TrainTestLabels" / f"Labels_{concept}_{split}.txt"
            write(file, of_splits[number])


def dogs_list(file, labels, paths=None):
    """`file_list` and `labels`, from a class for each path."""
    paths = np.array([[path] for path in paths or labels], dtype=object)
    labels = list(labels.values()) if isinstance(labels, dict) else labels
    savemat(file, {"file_list": paths, "labels": np.array(labels)[:, None]})


def stanford_dogs(root, train=None, test=None):
    """The class, 1..120, of each image `folder/image.jpg`."""
    breeds = {CHIHUAHUA: 1, HUNTING_DOG: 120}
    train = train or {f"{name}/{n}.jpg": breed for name, breed in breeds.items() for n in "abcd"}
    test = test or {f"{name}/{n}.jpg": breed for name, breed in breeds.items() for n in "ef"}
    for image in train | test:
        picture(root / "Images" / image)
    dogs_list(root / "train_list.mat", train)
    dogs_list(root / "test_list.mat", test)


def stanford_online_products(root, train=range(1, 6), test=range(11318, 11320)):
    """Products, with two images each."""
    for name, products in (("train", train), ("test", test)):
        images = [f"lamp_final/{product}_{view}.JPG" for product in products for view in range(2)]
        lines = [f"{n} {Path(file).name.split('_')[0]} 7 {file}" for n, file in enumerate(images)]
        for file in images:
            picture(root / file)
        write(root / f"Ebay_{name}.txt", ["image_id class_id super_class_id path", *lines])


def voc2007(
    root,
    trainval=range(8),
    test=range(8, 10),
    label=lambda image, kind: 1 if (image + VOC_CLASSES.index(kind)) % 3 else -1,
):
    """Numbers of images in two splits, and the label of each for each class: 1, -1 or 0."""
    for split, images in (("trainval", trainval), ("test", test)):
        for image in images:
            picture(root / "JPEGImages" / f"{image:06d}.jpg")
        for kind in VOC_CLASSES:
            lines = [f"{image:06d} {label(image, kind):2d}" for image in images]
            write(root / "ImageSets" / "Main" / f"{kind}_{split}.txt", lines)


def in_shop(root, parts=None, kinds=("MEN/Denim", "WOMEN/Dresses")):
    """Of each item the parts its images are in, in turn of two kinds; the box is the upper half."""
    parts = parts or {**dict.fromkeys(range(1, 9), "ttt"), **dict.fromkeys(range(11, 14), "qqgg")}
    words = {"t": "train", "q": "query", "g": "gallery"}
    images, boxes = [], []
    for item, written in parts.items():
        for view, part in enumerate(written):
            name = f"img/{kinds[item % len(kinds)]}/id_{item:08d}/{view:02d}_1_front.jpg"
            picture(root / "Img" / name)
            images.append(f"{name}    id_{item:08d}    {words[part]}")
            boxes.append(f"{name}    3    1    0    0    {SIDE}    {SIDE // 2}")
    header = "image_name item_id evaluation_status"
    write(root / "Eval" / "list_eval_partition.txt", [len(images), header, *images])
    header = "image_name clothes_type pose_type x_1 y_1 x_2 y_2"
    write(root / "Anno" / "list_bbox_inshop.txt", [len(boxes), header, *boxes])


def vehicle_id(root, train=range(1, 9), test=(101, 102, 103)):
    """Vehicles with three images each; all test lists have the same."""
    lists = {
        "train_list": train,
        **dict.fromkeys((f"test_list_{n}" for n in (800, 1600, 2400)), test),
    }
    for name, vehicles in lists.items():
        lines = [(f"{vehicle:05d}{view:02d}", vehicle) for vehicle in vehicles for view in range(3)]
        for image, _ in lines:
            picture(root / "image" / f"{image}.jpg")
        write(root / "train_test_split" / f"{name}.txt", [f"{image} {v}" for image, v in lines])


def market1501(root, train=range(2, 12), test=(1, 5001, 5002)):
    """People, each twice before two cameras; a distractor, two badly cut out, and no image."""
    folders = {"bounding_box_train": train, "query": test, "bounding_box_test": test}
    for folder, people in folders.items():
        number = 51 if folder == "query" else 151
        names = [f"{who:04d}_c{camera}s1_{number:06d}_00" for who in people for camera in (1, 2)]
        more = ["0000_c3s1_000001_01", "-1_c1s1_000401_03", "-1_c2s1_000401_04"]
        for name in names + more * (folder == "bounding_box_test"):
            picture(root / folder / f"{name}.jpg")
        write(root / folder / "Thumbs.db", ["no image"])


def inaturalist2018(root, train=range(1, 9), test=range(11, 14)):
    """Species of two kingdoms, with three images each."""
    for name, species in (("train", train), ("test", test)):
        lines = [
            f"train_val2018/{('Aves', 'Plantae')[kind % 2]}/{kind}/{view}.jpg"
            for kind in species
            for view in range(3)
        ]
        for image in lines:
            picture(root / image)
        write(root / "Inat_dataset_splits" / f"Inaturalist_{name}_set1.txt", lines)


def ground_truth(queries=("hall_1", "hall_2"), gallery=("a", "b", "c", "d", "e")):
    """Of each query an easy image, the hard ones, and junk; the box is the upper left quarter."""
    grades = {"easy": np.array([0]), "hard": [1, 2], "junk": np.array([3])}
    box = [0.0, 0.0, SIDE / 2 - 0.5, SIDE / 2]
    truth = [{"bbx": box, **grades} for _ in queries]
    return {"gnd": truth, "imlist": list(gallery), "qimlist": list(queries)}


def roxford_paris(root, content=None, distractors=("0/far.jpg",)):
    """Both cities with the same content, and distractors."""
    content = content or ground_truth()
    for city in ("roxford5k", "rparis6k"):
        for name in content["imlist"] + content["qimlist"]:
            picture(root / city / "jpg" / f"{name}.jpg")
        (root / city / f"gnd_{city}.pkl").write_bytes(pickle.dumps(content, 2))
    for name in distractors:
        picture(root / "revisitop1m" / "jpg" / name)
    write(root / "revisitop1m" / "revisitop1m.txt", distractors)


def gldv2(root, landmarks=range(8), index=6):
    """Three images of each landmark; a public and a private query, and one that is ignored."""
    train = {landmark: [f"aa{landmark}{view:013x}" for view in range(3)] for landmark in landmarks}
    there = [f"bbb{number:013x}" for number in range(index)]
    queries = {name * 16: usage for name, usage in (("c", "Public"), ("d", "Private"))}
    folders = {
        "train": [image for images in train.values() for image in images],
        "index": there,
        "test": queries,
    }
    for folder, images in folders.items():
        for image in images:
            picture(root / folder / "/".join(image[:3]) / f"{image}.jpg")
    write(root / "index.csv", ["id", *there])
    answered = [f"{image},{there[0]} {there[1]},{usage}" for image, usage in queries.items()]
    solution = ["id,images,Usage", *answered, f"{'e' * 16},None,Ignored"]
    write(root / "retrieval_solution_v2.1.csv", solution)
    clean = [f"{landmark},{' '.join(images)}" for landmark, images in train.items()]
    write(root / "train_clean.csv", ["landmark_id,images", *clean])
    full = [f"{image},http://x,{of}" for of, images in train.items() for image in images]
    write(root / "train.csv", ["id,url,landmark_id", *full])


def lfw_pairs(root, people=("Ann_Lee", "Bo", "Cy_Day")):
    """Three images of each; two pairs of one person and two of two, for development and test."""
    for person in people:
        for number in range(1, 4):
            picture(root / "lfw" / person / f"{person}_{number:04d}.jpg")
    pairs = ["Ann_Lee\t1\t2", "Bo\t1\t3", "Ann_Lee\t1\tBo\t2", "Bo\t1\tCy_Day\t3"]
    write(root / "pairs.txt", ["2\t1", pairs[0], pairs[2], pairs[1], pairs[3]])
    write(root / "pairsDevTrain.txt", ["2", *pairs])


TREES = {
    "COCO": coco,
    "CUB200": birds,
    "Cars196": cars196,
    "FGVCAircraft": fgvc_aircraft,
    "Flowers102": flowers102,
    "GLDv2": gldv2,
    "INaturalist2018": inaturalist2018,
    "ImageFolder": image_folder,
    "ImageTable": image_table,
    "InShop": in_shop,
    "LFWPairs": lfw_pairs,
    "MPIIPose": mpii_pose,
    "Market1501": market1501,
    "NABirds": birds,
    "NUSWIDE": nus_wide,
    "ROxfordParis": roxford_paris,
    "RegressionTable": regression_table,
    "StanfordDogs": stanford_dogs,
    "StanfordOnlineProducts": stanford_online_products,
    "VOC2007": voc2007,
    "VehicleID": vehicle_id,
}
